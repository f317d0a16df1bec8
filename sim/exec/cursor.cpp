#include "sim/exec/cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "sim/isa/text.h"
#include "sim/timing/durations.h"

namespace npu::sim {
namespace {

constexpr int64_t kMaxDimension = std::numeric_limits<int32_t>::max();

double as_real(int64_t bits) { return std::bit_cast<double>(bits); }
int64_t as_bits(double value) { return std::bit_cast<int64_t>(value); }

// Truncates; out of range saturates and NaN is zero, so that no host behaviour shows through.
int64_t to_integer(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return std::numeric_limits<int64_t>::max();
  if (value < -0x1p63) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

template <class T>
T read(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  if (exponent == 31) {
    return std::bit_cast<float>(sign | 0x7f800000u | static_cast<uint32_t>(mantissa) << 13);
  }
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -24)
                              : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return sign ? -magnitude : magnitude;
}

std::string text(Shape shape) { return fmt::format("[{}, {}]", shape.rows, shape.cols); }

bool broadcast(int32_t& into, int32_t dimension) {
  if (dimension == into || dimension == 1) return true;
  if (into != 1) return false;
  into = dimension;
  return true;
}

}  // namespace

Prepared::Prepared(const Machine& machine, const Launch& launch)
    : machine_(&machine), launch_(&launch) {
  check_launch(machine, launch);
  const Program& program = *launch.program;
  int64_t offset = 0;
  for (TileId tile = 0; tile < program.tiles.size(); ++tile) {
    const TileDecl& declaration = program.tiles[tile];
    first_.push_back(static_cast<BufferId>(buffers_.size()));
    for (int i = 0; i < declaration.buffers; ++i) {
      buffers_.push_back({tile, declaration.dtype, offset, declaration.capacity});
      offset += buffer_bytes(declaration);
    }
  }
  values_.resize(kConstantSlot + program.constants.size());
  values_[kGridSlot] = launch.grid;
  for (size_t i = 0; i < launch.args.size(); ++i) values_[kArgSlot + i] = launch.args[i].bits;
  for (size_t i = 0; i < program.constants.size(); ++i) {
    values_[kConstantSlot + i] = program.constants[i].bits;
  }
}

Cursor::Cursor(const Prepared& prepared, uint64_t runaway_limit)
    : prepared_(&prepared),
      code_(prepared.program().code.data()),
      code_size_(static_cast<uint32_t>(prepared.program().code.size())),
      runaway_limit_(runaway_limit),
      values_(prepared.values()) {
  const Program& program = prepared.program();
  tiles_.reserve(program.tiles.size());
  for (TileId tile = 0; tile < program.tiles.size(); ++tile) {
    const TileDecl& declaration = program.tiles[tile];
    const auto buffers = static_cast<uint16_t>(declaration.buffers);
    tiles_.push_back({.shape = {},
                      .capacity = declaration.capacity,
                      .first = prepared.first_buffer(tile),
                      .buffers = buffers,
                      .current = static_cast<uint16_t>(buffers - 1),
                      .element_size = static_cast<uint8_t>(size_of(declaration.dtype)),
                      .written = false});
  }
}

void Cursor::start(int64_t pid, int core) {
  pid_ = pid;
  core_ = core;
  pc_ = 0;
  executed_ = 0;
  std::fill_n(values_.begin(), kRegisterCount, 0);
  values_[kPidSlot] = pid;
  for (TileState& tile : tiles_) tile.written = false;
  loops_.clear();
}

std::string Cursor::where() const {
  const Program& program = prepared_->program();
  const std::string place =
      fmt::format("kernel '{}', core {}, program {}", program.name, core_, pid_);
  if (step_.pc >= code_size_) return place;
  return fmt::format("{}, instruction {} ({})", place, step_.pc,
                     disassemble(program, code_[step_.pc]));
}

void Cursor::fail(ErrorKind kind, const std::string& what) const {
  throw MachineError(kind, fmt::format("{}: {}", where(), what));
}

const Step* Cursor::next() {
  step_.scalar_instructions = 0;
  while (pc_ < code_size_) {
    const Instruction& inst = code_[pc_];
    step_.pc = pc_++;
    if (++executed_ > runaway_limit_) {
      fail(ErrorKind::kRunaway, fmt::format("more than {} instructions", runaway_limit_));
    }
    switch (inst.op) {
      case Opcode::exit:
      case Opcode::loop:
      case Opcode::endloop:
      case Opcode::break_if:
      case Opcode::if_:
      case Opcode::else_:
      case Opcode::endif:
        ++step_.scalar_instructions;
        if (!control(inst)) pc_ = code_size_;
        continue;
      case Opcode::s_alu:
        ++step_.scalar_instructions;
        scalar(inst);
        continue;
      case Opcode::s_select:
        ++step_.scalar_instructions;
        values_[inst.s[0]] = value(inst.s[1]) != 0 ? value(inst.s[2]) : value(inst.s[3]);
        continue;
      case Opcode::s_load:
        begin(inst);
        scalar_load(inst);
        return &step_;
      case Opcode::d_load:
      case Opcode::d_store:
      case Opcode::d_gather:
      case Opcode::d_scatter:
      case Opcode::d_fill:
        begin(inst);
        resolve_dma(inst);
        return &step_;
      case Opcode::m_mma:
        begin(inst);
        resolve_matrix(inst);
        return &step_;
      case Opcode::v_unary:
        begin(inst);
        resolve_elementwise(inst, 1);
        return &step_;
      case Opcode::v_binary:
        begin(inst);
        resolve_elementwise(inst, 2);
        return &step_;
      case Opcode::v_ternary:
        begin(inst);
        resolve_elementwise(inst, 3);
        return &step_;
      default:
        begin(inst);
        resolve_vector(inst);
        return &step_;
    }
  }
  return nullptr;
}

inline void Cursor::begin(const Instruction& inst) {
  step_.inst = &inst;
  step_.dst = step_.dst2 = kNoBuffer;
  step_.src = {kNoBuffer, kNoBuffer, kNoBuffer};
}

bool Cursor::control(const Instruction& inst) {
  switch (inst.op) {
    case Opcode::loop: {
      const int64_t times = value(inst.s[1]);
      values_[inst.s[0]] = 0;
      if (times > 0) {
        loops_.push_back({pc_, times});
      } else {
        pc_ = inst.jump;
      }
      return true;
    }
    case Opcode::endloop: {
      LoopFrame& frame = loops_.back();
      if (--frame.left > 0) {
        ++values_[code_[frame.body - 1].s[0]];
        pc_ = frame.body;
      } else {
        loops_.pop_back();
      }
      return true;
    }
    case Opcode::break_if:
      if (value(inst.s[0]) != 0) {
        loops_.pop_back();
        pc_ = inst.jump;
      }
      return true;
    case Opcode::if_:
      if (value(inst.s[0]) == 0) pc_ = inst.jump;
      return true;
    case Opcode::else_:
      pc_ = inst.jump;
      return true;
    case Opcode::endif:
      return true;
    default:
      return false;
  }
}

void Cursor::scalar(const Instruction& inst) {
  const auto fn = static_cast<ScalarFn>(inst.fn);
  const int64_t a = value(inst.s[1]);
  const int64_t b = inst.s[2] == kNoSlot ? 0 : value(inst.s[2]);
  const auto ua = static_cast<uint64_t>(a);
  const auto ub = static_cast<uint64_t>(b);
  int64_t& to = values_[inst.s[0]];
  switch (fn) {
    case ScalarFn::mov:
      to = a;
      break;
    case ScalarFn::add:
      to = static_cast<int64_t>(ua + ub);
      break;
    case ScalarFn::sub:
      to = static_cast<int64_t>(ua - ub);
      break;
    case ScalarFn::mul:
      to = static_cast<int64_t>(ua * ub);
      break;
    case ScalarFn::div:
    case ScalarFn::mod:
      if (b == 0) fail(ErrorKind::kShape, "division by zero");
      // The one quotient that does not fit wraps.
      if (b == -1) {
        to = fn == ScalarFn::div ? static_cast<int64_t>(-ua) : 0;
      } else {
        to = fn == ScalarFn::div ? a / b : a % b;
      }
      break;
    case ScalarFn::min:
      to = std::min(a, b);
      break;
    case ScalarFn::max:
      to = std::max(a, b);
      break;
    case ScalarFn::and_:
      to = a & b;
      break;
    case ScalarFn::or_:
      to = a | b;
      break;
    case ScalarFn::xor_:
      to = a ^ b;
      break;
    case ScalarFn::shl:
      to = ub < 64 ? static_cast<int64_t>(ua << ub) : 0;
      break;
    case ScalarFn::shr:
      to = a >> std::min<uint64_t>(ub, 63);
      break;
    case ScalarFn::lt:
      to = a < b;
      break;
    case ScalarFn::le:
      to = a <= b;
      break;
    case ScalarFn::eq:
      to = a == b;
      break;
    case ScalarFn::ne:
      to = a != b;
      break;
    case ScalarFn::fadd:
      to = as_bits(as_real(a) + as_real(b));
      break;
    case ScalarFn::fsub:
      to = as_bits(as_real(a) - as_real(b));
      break;
    case ScalarFn::fmul:
      to = as_bits(as_real(a) * as_real(b));
      break;
    case ScalarFn::fdiv:
      to = as_bits(as_real(a) / as_real(b));
      break;
    case ScalarFn::fmin:
      to = as_bits(std::fmin(as_real(a), as_real(b)));
      break;
    case ScalarFn::fmax:
      to = as_bits(std::fmax(as_real(a), as_real(b)));
      break;
    case ScalarFn::flt:
      to = as_real(a) < as_real(b);
      break;
    case ScalarFn::fsqrt:
      to = as_bits(std::sqrt(as_real(a)));
      break;
    case ScalarFn::i2f:
      to = as_bits(static_cast<double>(a));
      break;
    case ScalarFn::f2i:
      to = to_integer(as_real(a));
      break;
  }
}

void Cursor::scalar_load(const Instruction& inst) {
  const int64_t element = size_of(inst.dtype);
  int64_t offset = 0;
  if (__builtin_mul_overflow(value(inst.s[1]), element, &offset)) {
    fail(ErrorKind::kOutOfBounds, "the offset overflows");
  }
  step_.value[1] = value(inst.s[1]);
  step_.offset = offset;
  step_.bytes = element;
  if (offset > std::numeric_limits<int64_t>::max() - element) {
    fail(ErrorKind::kOutOfBounds, "the offset overflows");
  }
  check_bounds(inst, offset, offset + element);
  const Buffer& buffer = prepared_->launch().args[inst.buffer].buffer;
  if (buffer.data == nullptr) {
    fail(ErrorKind::kPoison, "the program is steered by data that was skipped");
  }
  const std::byte* data = buffer.data + offset;
  int64_t& to = values_[inst.s[0]];
  switch (inst.dtype) {
    case DType::f64:
      to = read<int64_t>(data);
      break;
    case DType::f32:
      to = as_bits(read<float>(data));
      break;
    case DType::f16:
      to = as_bits(half_to_float(read<uint16_t>(data)));
      break;
    case DType::bf16:
      to = as_bits(std::bit_cast<float>(uint32_t{read<uint16_t>(data)} << 16));
      break;
    case DType::i64:
      to = read<int64_t>(data);
      break;
    case DType::i32:
      to = read<int32_t>(data);
      break;
    case DType::i16:
      to = read<int16_t>(data);
      break;
    case DType::i8:
      to = read<int8_t>(data);
      break;
    case DType::u8:
    case DType::b8:
      to = read<uint8_t>(data);
      break;
    default:
      fail(ErrorKind::kUnimplemented,
           fmt::format("scalar loads of {} are not implemented", name(inst.dtype)));
  }
}

void Cursor::check_bounds(const Instruction& inst, int64_t lower, int64_t upper) const {
  const Buffer& buffer = prepared_->launch().args[inst.buffer].buffer;
  if (lower >= buffer.lower && upper <= buffer.upper) return;
  fail(ErrorKind::kOutOfBounds,
       fmt::format("bytes [{}, {}) from pointer '{}' = {:#x} lie outside its allocation, which "
                   "covers [{}, {}) from there",
                   lower, upper, prepared_->program().args[inst.buffer].name, buffer.address,
                   buffer.lower, buffer.upper));
}

inline void Cursor::use(int source) {
  const TileId id = step_.inst->src[source];
  const TileState& tile = tiles_[id];
  if (!tile.written) {
    fail(ErrorKind::kUnwrittenRead,
         fmt::format("tile '{}' is read before anything was written to it",
                     prepared_->program().tiles[id].name));
  }
  step_.src[source] = static_cast<BufferId>(tile.first + tile.current);
  step_.src_shape[source] = tile.shape;
}

inline BufferId Cursor::update(TileId id) {
  TileState& tile = tiles_[id];
  if (!tile.written) {
    fail(ErrorKind::kUnwrittenRead,
         fmt::format("tile '{}' is updated before anything was written to it",
                     prepared_->program().tiles[id].name));
  }
  return static_cast<BufferId>(tile.first + tile.current);
}

inline Shape Cursor::dimensions(int64_t rows, int64_t cols) const {
  if (rows < 0 || cols < 0 || rows > kMaxDimension || cols > kMaxDimension) {
    fail(ErrorKind::kShape, fmt::format("[{}, {}] is no tile shape", rows, cols));
  }
  return {static_cast<int32_t>(rows), static_cast<int32_t>(cols)};
}

inline BufferId Cursor::define(TileId id, int64_t rows, int64_t cols) {
  TileState& tile = tiles_[id];
  const Shape shape = dimensions(rows, cols);
  if (shape.elements() > tile.capacity) {
    fail(ErrorKind::kScratchpadOverflow,
         fmt::format("shape {} exceeds the {} elements of tile '{}'", text(shape), tile.capacity,
                     prepared_->program().tiles[id].name));
  }
  tile.shape = shape;
  tile.written = true;
  if (++tile.current >= tile.buffers) tile.current = 0;
  return static_cast<BufferId>(tile.first + tile.current);
}

inline void Cursor::load_values(const Instruction& inst, int count) {
  for (int i = 0; i < count; ++i) {
    if (inst.s[i] != kNoSlot) step_.value[i] = value(inst.s[i]);
  }
}

void Cursor::resolve_dma(const Instruction& inst) {
  TileId tile = inst.dst;
  const bool indexed = inst.op == Opcode::d_gather || inst.op == Opcode::d_scatter;
  if (inst.op == Opcode::d_store || inst.op == Opcode::d_scatter) tile = inst.src[0];
  const int64_t element =
      inst.op == Opcode::d_fill ? size_of(inst.dtype) : tiles_[tile].element_size;

  // Everything in elements first; one flag collects the overflows.
  int64_t rows = 1;
  int64_t cols = 1;
  int64_t lower = value(inst.s[kDmaOffset]);
  int64_t upper = lower;
  bool overflow = __builtin_mul_overflow(lower, element, &step_.offset);
  for (int i = 0; i < inst.ndim; ++i) {
    const int64_t size = value(inst.s[kDmaSizes + i]);
    const int64_t stride = value(inst.s[kDmaStrides + i]);
    if (size < 0) fail(ErrorKind::kShape, fmt::format("size {} of dimension {}", size, i));
    step_.size[i] = size;
    overflow |= __builtin_mul_overflow(stride, element, &step_.stride[i]);
    int64_t& product = i < inst.row_dims ? rows : cols;
    overflow |= __builtin_mul_overflow(product, size, &product);
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(stride, size - 1, &reach);
    int64_t& end = reach < 0 ? lower : upper;
    overflow |= __builtin_add_overflow(end, reach, &end);
  }
  if (inst.op == Opcode::d_gather) {
    use(0);
    rows = step_.src_shape[0].elements();
  } else if (inst.op == Opcode::d_scatter) {
    use(0);
    use(1);
    rows = step_.src_shape[1].elements();
  } else if (inst.op == Opcode::d_store) {
    use(0);
  }
  int64_t elements = 0;
  overflow |= __builtin_mul_overflow(rows, cols, &elements);
  overflow |= __builtin_mul_overflow(elements, element, &step_.bytes);
  if (indexed) {
    overflow |=
        __builtin_mul_overflow(value(inst.s[kDmaIndexStride]), element, &step_.index_stride);
  } else {
    overflow |= __builtin_mul_overflow(lower, element, &lower);
    overflow |= __builtin_add_overflow(upper, 1, &upper);
    overflow |= __builtin_mul_overflow(upper, element, &upper);
  }
  if (overflow) fail(ErrorKind::kOutOfBounds, "offsets, sizes or strides overflow 64 bits");
  if (!indexed && elements > 0) check_bounds(inst, lower, upper);

  switch (inst.op) {
    case Opcode::d_load:
    case Opcode::d_gather:
      step_.dst = define(inst.dst, rows, cols);
      step_.dst_shape = tiles_[inst.dst].shape;
      break;
    case Opcode::d_fill:
      step_.fill = value(inst.s[kDmaValue]);
      break;
    default:
      if (step_.src_shape[0].elements() != elements) {
        fail(ErrorKind::kShape,
             fmt::format("tile '{}' of shape {} does not fill the {} elements of the transfer",
                         prepared_->program().tiles[inst.src[0]].name, text(step_.src_shape[0]),
                         elements));
      }
  }
}

void Cursor::resolve_matrix(const Instruction& inst) {
  use(0);
  use(1);
  const Shape a = step_.src_shape[0];
  const Shape b = step_.src_shape[1];
  const bool ta = inst.flags & flags::kTransposeA;
  const bool tb = inst.flags & flags::kTransposeB;
  const int32_t m = ta ? a.cols : a.rows;
  const int32_t n = tb ? b.rows : b.cols;
  if ((ta ? a.rows : a.cols) != (tb ? b.cols : b.rows)) {
    fail(ErrorKind::kShape, fmt::format("inner dimensions of {} and {} differ", text(a), text(b)));
  }
  if (inst.flags & flags::kZero) {
    step_.dst = define(inst.dst, m, n);
    step_.dst_shape = {m, n};
  } else {
    step_.dst = update(inst.dst);
    step_.dst_shape = tiles_[inst.dst].shape;
    if (step_.dst_shape != Shape{m, n}) {
      fail(ErrorKind::kShape, fmt::format("{} x {} does not accumulate into a tile of shape {}",
                                          text(a), text(b), text(step_.dst_shape)));
    }
  }
  const int64_t outputs = int64_t{m} * n;
  step_.value[0] = inst.s[0] == kNoSlot ? outputs : value(inst.s[0]);
  if (step_.value[0] < 0 || step_.value[0] > outputs) {
    fail(ErrorKind::kShape,
         fmt::format("{} useful elements of {} outputs", step_.value[0], outputs));
  }
}

void Cursor::resolve_elementwise(const Instruction& inst, int operands) {
  Shape shape{1, 1};
  for (int i = 0; i < operands; ++i) {
    if (inst.src[i] == kNoTile) {
      step_.value[i] = value(inst.s[i]);
      continue;
    }
    use(i);
    const Shape source = step_.src_shape[i];
    if (!broadcast(shape.rows, source.rows) || !broadcast(shape.cols, source.cols)) {
      fail(ErrorKind::kShape, fmt::format("operand {} of shape {} does not broadcast with {}", i,
                                          text(source), text(shape)));
    }
  }
  step_.dst = define(inst.dst, shape.rows, shape.cols);
  step_.dst_shape = shape;
}

void Cursor::resolve_vector(const Instruction& inst) {
  load_values(inst, 5);
  for (int i = 0; i < 2; ++i) {
    if (inst.src[i] != kNoTile) use(i);
  }
  const Shape source = step_.src_shape[0];
  switch (inst.op) {
    case Opcode::v_reduce:
      step_.dst_shape = inst.flags & flags::kRows ? Shape{1, source.cols} : Shape{source.rows, 1};
      break;
    case Opcode::v_scan:
      step_.dst_shape = source;
      break;
    case Opcode::v_sort:
      if (inst.src[1] != kNoTile && step_.src_shape[1] != source) {
        fail(ErrorKind::kShape, fmt::format("keys of shape {}, payload of {}", text(source),
                                            text(step_.src_shape[1])));
      }
      step_.dst_shape = source;
      break;
    case Opcode::v_iota:
      step_.dst_shape = dimensions(step_.value[3], step_.value[4]);
      break;
    case Opcode::v_random:
      step_.dst_shape = dimensions(step_.value[2], step_.value[3]);
      break;
    case Opcode::v_fill:
      step_.dst_shape = dimensions(step_.value[1], step_.value[2]);
      break;
    case Opcode::v_expand:
      step_.dst_shape = dimensions(step_.value[0], step_.value[1]);
      if ((source.rows != 1 && source.rows != step_.dst_shape.rows) ||
          (source.cols != 1 && source.cols != step_.dst_shape.cols)) {
        fail(ErrorKind::kShape,
             fmt::format("{} does not expand to {}", text(source), text(step_.dst_shape)));
      }
      break;
    case Opcode::v_transpose:
      step_.dst_shape = {source.cols, source.rows};
      break;
    case Opcode::v_reshape: {
      step_.dst = update(inst.dst);
      step_.dst_shape = dimensions(step_.value[0], step_.value[1]);
      Shape& shape = tiles_[inst.dst].shape;
      if (shape.elements() != step_.dst_shape.elements()) {
        fail(ErrorKind::kShape,
             fmt::format("{} has not the elements of {}", text(shape), text(step_.dst_shape)));
      }
      shape = step_.dst_shape;
      return;
    }
    case Opcode::v_slice:
      step_.dst_shape = dimensions(step_.value[2], step_.value[3]);
      if (step_.value[0] < 0 || step_.value[1] < 0 ||
          step_.value[0] > source.rows - step_.dst_shape.rows ||
          step_.value[1] > source.cols - step_.dst_shape.cols) {
        fail(ErrorKind::kShape,
             fmt::format("slice {} at [{}, {}] leaves the tile of shape {}", text(step_.dst_shape),
                         step_.value[0], step_.value[1], text(source)));
      }
      break;
    case Opcode::v_insert:
      step_.dst = update(inst.dst);
      step_.dst_shape = tiles_[inst.dst].shape;
      if (step_.value[0] < 0 || step_.value[1] < 0 ||
          step_.value[0] > step_.dst_shape.rows - source.rows ||
          step_.value[1] > step_.dst_shape.cols - source.cols) {
        fail(ErrorKind::kShape,
             fmt::format("{} at [{}, {}] leaves the tile of shape {}", text(source), step_.value[0],
                         step_.value[1], text(step_.dst_shape)));
      }
      return;
    case Opcode::v_gather:
      if (step_.src_shape[1].rows != source.rows) {
        fail(ErrorKind::kShape, fmt::format("{} is indexed by {}: the rows differ", text(source),
                                            text(step_.src_shape[1])));
      }
      step_.dst_shape = step_.src_shape[1];
      break;
    default:
      fail(ErrorKind::kUnimplemented, "no engine executes this instruction");
  }
  step_.dst = define(inst.dst, step_.dst_shape.rows, step_.dst_shape.cols);
  if (inst.dst2 != kNoTile) {
    step_.dst2 = define(inst.dst2, step_.dst_shape.rows, step_.dst_shape.cols);
  }
}

void count(const Machine& machine, const Step& step, Counters& counters) {
  counters.scalar_instructions += step.scalar_instructions;
  const Instruction& inst = *step.inst;
  switch (inst.op) {
    case Opcode::s_load:
      ++counters.scalar_instructions;
      counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::d_load:
    case Opcode::d_gather:
      ++counters.dma_instructions;
      counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::d_store:
    case Opcode::d_scatter:
    case Opcode::d_fill:
      ++counters.dma_instructions;
      counters.dma_write_bytes += static_cast<uint64_t>(step.bytes);
      // An accumulating one reads what it adds to.
      if (inst.flags & flags::kAdd) counters.dma_read_bytes += static_cast<uint64_t>(step.bytes);
      break;
    case Opcode::m_mma: {
      ++counters.matrix_instructions;
      const int64_t k =
          inst.flags & flags::kTransposeA ? step.src_shape[0].rows : step.src_shape[0].cols;
      const auto useful = static_cast<uint64_t>(step.value[0] * k);
      counters.macs += useful;
      counters.padded_macs +=
          matrix_cell_macs(machine, step.dst_shape.rows, k, step.dst_shape.cols) - useful;
      break;
    }
    default:
      ++counters.vector_instructions;
  }
}

}  // namespace npu::sim

// How the cursor resolves tile instructions: shapes, physical buffers, addresses, and their checks.
#include <fmt/format.h>

#include <limits>
#include <string>

#include "sim/exec/cursor.h"

namespace npu::sim {
namespace {

constexpr int64_t kMaxDimension = std::numeric_limits<int32_t>::max();

std::string text(Shape shape) { return fmt::format("[{}, {}]", shape.rows, shape.cols); }

bool broadcast(int32_t& into, int32_t dimension) {
  if (dimension == into || dimension == 1) return true;
  if (into != 1) return false;
  into = dimension;
  return true;
}

}  // namespace

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

// Is the program the first of those that share the load?
inline bool Cursor::leads(const Instruction& inst) const {
  if ((inst.flags & (flags::kAcross | flags::kDown)) == 0) return true;
  const Cluster& cluster = prepared_->program().cluster;
  const int64_t member = pid_ % cluster.size();
  return ((inst.flags & flags::kAcross) == 0 || member % cluster.cols == 0) &&
         ((inst.flags & flags::kDown) == 0 || member / cluster.cols == 0);
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
      step_.fetches = leads(inst);
      [[fallthrough]];
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

}  // namespace npu::sim

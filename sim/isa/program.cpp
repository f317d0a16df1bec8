#include "sim/isa/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "sim/error.h"
#include "sim/isa/form.h"
#include "sim/isa/liveness.h"
#include "sim/isa/steering_arguments.h"
#include "sim/isa/verify.h"

namespace npu::sim {
namespace {

constexpr int64_t kBufferAlignment = 64;
constexpr int64_t kMaxCapacity = (int64_t{1} << 31) - 1;  // shapes count in 32 bits
constexpr int kMaxBuffers = 64;
constexpr size_t kMaxPhysicalBuffers = 0xffff;

// Rows and columns move unchanged, so the element types must agree; v.copy is what converts.
bool moves_elements(Opcode op) {
  switch (op) {
    case Opcode::v_expand:
    case Opcode::v_transpose:
    case Opcode::v_slice:
    case Opcode::v_insert:
    case Opcode::v_gather:
    case Opcode::v_sort:
      return true;
    default:
      return false;
  }
}

class Finalizer {
 public:
  Finalizer(Program& program, const Locate& locate) : program_(program), locate_(locate) {}

  void run() {
    check_declarations();
    program_.engines = 0;
    program_.has_atomics = false;
    program_.has_scalar_loads = false;
    program_.has_multicast = false;
    program_.registers.clear();
    program_.arg_read.assign(program_.args.size(), 0);
    program_.arg_written.assign(program_.args.size(), 0);
    program_.arg_store_bytes.assign(program_.args.size(), 0);
    old_constants_ = std::exchange(program_.constants, {});
    if (program_.code.empty() || program_.code.back().op != Opcode::exit) {
      fail_kernel("the last instruction must be exit");
    }
    for (pc_ = 0; pc_ < program_.code.size(); ++pc_) check_instruction();
    if (!nest_.empty()) {
      pc_ = nest_.back().start;
      fail(nest_.back().is_loop ? "loop without endloop" : "if without endif");
    }
    program_.last_reads = last_reads_of(program_);
    program_.arg_steers = steering_arguments_of(program_);
  }

 private:
  [[noreturn]] void fail_kernel(const std::string& what,
                                ErrorKind kind = ErrorKind::kAssembly) const {
    throw MachineError(kind, fmt::format("kernel '{}': {}", program_.name, what));
  }

  [[noreturn]] void fail(const std::string& what, ErrorKind kind = ErrorKind::kAssembly) const {
    throw MachineError(kind, fmt::format("kernel '{}', {}: {}", program_.name, locate_(pc_), what));
  }

  void check_name(const std::string& text, std::string_view what) {
    const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.'; };
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '.' ||
        !std::all_of(text.begin(), text.end(), fits)) {
      fail_kernel(fmt::format(
          "{} '{}': names are letters, digits, '_' and '.', starting with a letter or '_'", what,
          text));
    }
    if (is_reserved_name(text)) fail_kernel(fmt::format("{} '{}': the name is kept", what, text));
    if (!names_.insert(text).second) {
      fail_kernel(fmt::format("{} '{}': the name is declared twice", what, text));
    }
  }

  void check_declarations() {
    const auto printable = [](unsigned char c) { return std::isgraph(c) && c != ';'; };
    if (program_.name.empty() ||
        !std::all_of(program_.name.begin(), program_.name.end(), printable)) {
      fail_kernel("a kernel's name is printable characters without spaces and ';'");
    }
    const auto [rows, cols] = program_.cluster;
    if (rows < 1 || cols < 1 || rows > kMaxClusterSize || cols > kMaxClusterSize / rows) {
      fail_kernel(fmt::format("a cluster of {} x {} programs, allowed are 1 to {}", rows, cols,
                              kMaxClusterSize));
    }
    if (program_.args.size() > kMaxArgs) {
      fail_kernel(fmt::format("{} arguments, allowed are {}", program_.args.size(), kMaxArgs));
    }
    for (const ArgDecl& arg : program_.args) check_name(arg.name, "argument");
    program_.scratchpad_bytes = 0;
    size_t physical = 0;
    for (const TileDecl& tile : program_.tiles) {
      check_name(tile.name, "tile");
      if (!is_implemented(tile.dtype)) {
        fail_kernel(fmt::format("tile '{}': dtype {} is not implemented", tile.name,
                                npu::sim::name(tile.dtype)),
                    ErrorKind::kUnimplemented);
      }
      if (tile.capacity < 1 || tile.capacity > kMaxCapacity) {
        fail_kernel(fmt::format("tile '{}': capacity {}, allowed are 1 to {} elements", tile.name,
                                tile.capacity, kMaxCapacity));
      }
      if (tile.buffers < 1 || tile.buffers > kMaxBuffers) {
        fail_kernel(fmt::format("tile '{}': x{}, allowed are 1 to {} buffers", tile.name,
                                tile.buffers, kMaxBuffers));
      }
      physical += static_cast<size_t>(tile.buffers);
      program_.scratchpad_bytes += buffer_bytes(tile) * tile.buffers;
    }
    if (physical >= kMaxPhysicalBuffers) {
      fail_kernel(
          fmt::format("{} tile buffers, allowed are fewer than {}", physical, kMaxPhysicalBuffers));
    }
  }

  // Where an operand stands, for messages: a phrase, and the operand's number if there are several.
  struct Place {
    std::string_view phrase;
    int number = -1;
    Place(const char* phrase) : phrase(phrase) {}
    Place(const char* phrase, int number) : phrase(phrase), number(number) {}
    std::string text() const {
      return number < 0 ? std::string(phrase) : fmt::format("{} {}", phrase, number);
    }
  };

  const TileDecl& tile(TileId id, Place place) const {
    if (id == kNoTile) fail(fmt::format("{} is missing", place.text()));
    if (id >= program_.tiles.size()) {
      fail(fmt::format("{} is tile {}, not declared", place.text(), id));
    }
    return program_.tiles[id];
  }

  enum class Kind { integer, real, any };

  // Checks a scalar operand; constants are numbered anew in the order of their first use.
  Slot scalar(Slot slot, Kind wanted, Place place) {
    const auto mismatch = [&](bool real) {
      return (real && wanted == Kind::integer) || (!real && wanted == Kind::real);
    };
    const std::string_view wants = wanted == Kind::real ? "a real number" : "an integer";
    if (slot == kNoSlot) fail(fmt::format("{} is missing", place.text()));
    if (slot < kRegisterCount) return slot;
    if (slot < kArgSlot) {
      if (wanted == Kind::real)
        fail(fmt::format("{} wants a real number, not %pid or %grid", place.text()));
      return slot;
    }
    if (slot < kConstantSlot) {
      const size_t number = slot - kArgSlot;
      if (number >= program_.args.size()) {
        fail(fmt::format("{} is argument {}, not declared", place.text(), number));
      }
      const ArgDecl& arg = program_.args[number];
      if (arg.kind == ArgKind::pointer) {
        fail(fmt::format("{} wants {}, but argument '{}' is a pointer", place.text(), wants,
                         arg.name));
      }
      if (mismatch(arg.kind == ArgKind::real)) {
        fail(fmt::format("{} wants {}, but argument '{}' is {}", place.text(), wants, arg.name,
                         arg.kind == ArgKind::real ? "f64" : "i64"));
      }
      return slot;
    }
    const size_t number = slot - kConstantSlot;
    if (number >= old_constants_.size()) {
      fail(fmt::format("{} is constant {}, not declared", place.text(), number));
    }
    const Constant constant = old_constants_[number];
    if (mismatch(constant.real)) {
      fail(constant.real
               ? fmt::format("{} wants an integer, not {}", place.text(),
                             std::bit_cast<double>(constant.bits))
               : fmt::format("{} wants a real number, not the integer {} (write it as {}.0)",
                             place.text(), constant.bits, constant.bits));
    }
    const auto [known, fresh] = constants_.try_emplace({constant.real, constant.bits}, Slot{0});
    if (fresh) {
      if (program_.constants.size() >= size_t{kNoSlot} - kConstantSlot) fail("too many constants");
      known->second = static_cast<Slot>(kConstantSlot + program_.constants.size());
      program_.constants.push_back(constant);
    }
    return known->second;
  }

  void check_implemented(DType dtype) const {
    if (!is_implemented(dtype)) {
      fail(fmt::format("dtype {} is not implemented", npu::sim::name(dtype)),
           ErrorKind::kUnimplemented);
    }
  }

  // Takes over one operand from `in`, so that `out` holds what the form uses and nothing else.
  void take(const Operand& operand, const Instruction& in, Instruction& out) {
    const uint8_t i = operand.index;
    switch (operand.role) {
      case Role::kDst:
        tile(in.dst, "the destination tile");
        out.dst = in.dst;
        break;
      case Role::kDst2:
        tile(in.dst2, "the second destination tile");
        out.dst2 = in.dst2;
        break;
      case Role::kTile:
        tile(in.src[i], {"source tile", i});
        out.src[i] = in.src[i];
        break;
      case Role::kIndexTile: {
        const TileDecl& index = tile(in.src[i], "the index tile");
        if (is_float(index.dtype) || index.dtype == DType::b8) {
          fail(fmt::format("index tile '{}' is {}, not of an integer type", index.name,
                           npu::sim::name(index.dtype)));
        }
        out.src[i] = in.src[i];
        break;
      }
      case Role::kTileOrValue:
        if (in.src[i] == kNoTile) {
          out.s[i] = scalar(in.s[i], takes_reals(program_, in) ? Kind::real : Kind::integer,
                            {"source", i});
        } else {
          tile(in.src[i], {"source tile", i});
          out.src[i] = in.src[i];
        }
        break;
      case Role::kRegister:
        if (in.s[i] >= kRegisterCount) fail("the destination must be a register");
        out.s[i] = in.s[i];
        break;
      case Role::kInteger:
        out.s[i] = scalar(in.s[i], Kind::integer, {"operand", i});
        break;
      case Role::kReal:
        out.s[i] = scalar(in.s[i], Kind::real, {"operand", i});
        break;
      case Role::kAny:
        out.s[i] = scalar(in.s[i], Kind::any, {"operand", i});
        break;
      case Role::kValue:
        out.s[i] =
            scalar(in.s[i], takes_reals(program_, in) ? Kind::real : Kind::integer, {"operand", i});
        break;
      case Role::kOptional:
        if (in.s[i] != kNoSlot) out.s[i] = scalar(in.s[i], Kind::integer, "the last operand");
        break;
      case Role::kShape:
        out.s[i] = scalar(in.s[i], Kind::integer, "the number of rows");
        out.s[i + 1] = scalar(in.s[i + 1], Kind::integer, "the number of columns");
        break;
      case Role::kMemory:
        if (in.buffer >= program_.args.size()) {
          fail(fmt::format("buffer is argument {}, not declared", in.buffer));
        }
        if (program_.args[in.buffer].kind != ArgKind::pointer) {
          fail(fmt::format("argument '{}' is not a pointer", program_.args[in.buffer].name));
        }
        out.buffer = in.buffer;
        out.s[i] = scalar(in.s[i], Kind::integer, "the element offset");
        break;
      case Role::kAccess:
        take_access(in, out);
        break;
    }
  }

  void take_access(const Instruction& in, Instruction& out) {
    if (in.ndim > kMaxDims) {
      fail(fmt::format("{} dimensions, allowed are 0 to {}", in.ndim, kMaxDims));
    }
    const bool indexed = in.op == Opcode::d_gather || in.op == Opcode::d_scatter;
    if (indexed && in.row_dims != 0) {
      fail("row dimensions are not allowed here: the index tile gives the rows");
    }
    if (in.row_dims > in.ndim) {
      fail(fmt::format("{} row dimensions of {}", in.row_dims, in.ndim));
    }
    out.ndim = in.ndim;
    out.row_dims = in.row_dims;
    for (int first : {kDmaSizes, kDmaStrides}) {
      for (int dim = 0; dim < in.ndim; ++dim) {
        out.s[first + dim] =
            scalar(in.s[first + dim], Kind::integer,
                   {first == kDmaSizes ? "size of dimension" : "stride of dimension", dim});
      }
    }
  }

  void check_instruction() {
    const Instruction in = program_.code[pc_];
    if (static_cast<int>(in.op) >= kOpcodeCount) {
      fail(fmt::format("opcode {} does not exist", static_cast<int>(in.op)));
    }
    const int functions = fn_count(in.op);
    if (functions == 0 ? in.fn != 0 : in.fn >= functions) {
      fail(fmt::format("function {} does not exist", in.fn));
    }
    const Form form = form_of(in.op, in.fn);
    if ((in.flags & ~form.flags) != 0) {
      fail(fmt::format("flags {:#x} are not allowed here", in.flags & ~form.flags));
    }
    Instruction out;
    out.op = in.op;
    out.fn = in.fn;
    out.flags = in.flags;
    if (form.dtype) {
      check_implemented(in.dtype);
      out.dtype = in.dtype;
    }
    for (const Operand& operand : form.operands) take(operand, in, out);
    check_unused(in, out);
    check_types(out);
    program_.code[pc_] = out;
    note_effects(out);
    match(out.op);
  }

  // An operand that the form has no place for is a mistake of whoever built the program.
  void check_unused(const Instruction& in, const Instruction& out) const {
    const auto stray = [](const auto& given, const auto& used, auto none) {
      for (size_t i = 0; i < given.size(); ++i) {
        if (given[i] != none && used[i] == none) return true;
      }
      return false;
    };
    if (stray(in.src, out.src, kNoTile) || stray(in.s, out.s, kNoSlot) || in.dst2 != out.dst2 ||
        in.dst != out.dst || in.buffer != out.buffer || in.ndim != out.ndim ||
        in.row_dims != out.row_dims) {
      fail("it has operands that it does not use");
    }
  }

  DType type(TileId id) const { return program_.tiles[id].dtype; }

  void check_types(const Instruction& inst) const {
    if (inst.op == Opcode::m_mma) return check_mma(inst);
    if (moves_elements(inst.op)) check_same(inst.dst, inst.src[0]);
    if (inst.op == Opcode::v_sort) {
      check_same(inst.dst2, inst.src[1]);
      if (inst.dst == inst.dst2) fail("keys and payload have the same destination");
    }
    const bool integer_dst = inst.dst != kNoTile && !is_float(type(inst.dst));
    if (inst.op == Opcode::v_reduce &&
        (inst.fn == static_cast<uint8_t>(ReduceFn::argmax) ||
         inst.fn == static_cast<uint8_t>(ReduceFn::argmin)) &&
        (!integer_dst || type(inst.dst) == DType::b8)) {
      fail("the destination of argmax and argmin is of an integer type");
    }
    if (inst.op == Opcode::v_random) {
      if (inst.fn != static_cast<uint8_t>(RandomFn::bits)) {
        if (integer_dst) fail("the destination is of a floating type");
      } else if (type(inst.dst) != DType::i32 && type(inst.dst) != DType::i64) {
        fail("the destination of random bits is i32 or i64");
      }
    }
  }

  void check_same(TileId a, TileId b) const {
    if (type(a) == type(b)) return;
    fail(fmt::format("tiles '{}' ({}) and '{}' ({}) must have the same type; v.copy converts",
                     program_.tiles[a].name, npu::sim::name(type(a)), program_.tiles[b].name,
                     npu::sim::name(type(b))));
  }

  void check_mma(const Instruction& inst) const {
    check_same(inst.src[0], inst.src[1]);
    const DType in = type(inst.src[0]);
    const DType out = type(inst.dst);
    if (inst.dst == inst.src[0] || inst.dst == inst.src[1]) {
      fail("the accumulator is also a source");
    }
    const bool fits = in == DType::f64  ? out == DType::f64
                      : is_float(in)    ? out == DType::f32
                      : in == DType::b8 ? false
                                        : out == DType::i32 || out == DType::i64;
    if (!fits) {
      fail(
          fmt::format("a product of {} cannot accumulate into {} (f32 for f32, f16 and bf16; f64 "
                      "for f64; i32 or i64 for integers)",
                      npu::sim::name(in), npu::sim::name(out)));
    }
  }

  void note_effects(const Instruction& inst) {
    uint64_t registers = 0;
    for (const Slot slot : inst.s) {
      if (slot < kRegisterCount) registers |= uint64_t{1} << slot;
    }
    program_.registers.push_back(registers);
    program_.engines |= static_cast<uint8_t>(1 << static_cast<int>(engine_of(inst.op)));
    const bool adds = (inst.flags & flags::kAdd) != 0;
    program_.has_atomics |= adds;
    program_.has_multicast |= (inst.flags & (flags::kAcross | flags::kDown)) != 0;
    switch (inst.op) {
      case Opcode::s_load:
        program_.has_scalar_loads = true;
        [[fallthrough]];
      case Opcode::d_load:
      case Opcode::d_gather:
        program_.arg_read[inst.buffer] = 1;
        break;
      case Opcode::d_store:
      case Opcode::d_scatter:
        if (adds) program_.arg_read[inst.buffer] = 1;
        if (inst.op == Opcode::d_store && !adds) {
          const TileDecl& tile = program_.tiles[inst.src[0]];
          program_.arg_store_bytes[inst.buffer] += tile.capacity * size_of(tile.dtype);
        }
        [[fallthrough]];
      case Opcode::d_fill:
        program_.arg_written[inst.buffer] = 1;
        break;
      default:
        break;
    }
  }

  // Where control flow goes on: loop and break_if behind the endloop, endloop back to its loop, if
  // behind its else or to its endif, else to its endif.
  void match(Opcode op) {
    const auto here = static_cast<uint32_t>(pc_);
    switch (op) {
      case Opcode::loop:
        nest_.push_back({true, here, false, {}});
        break;
      case Opcode::if_:
        nest_.push_back({false, here, false, {}});
        break;
      case Opcode::break_if: {
        const auto loop = std::find_if(nest_.rbegin(), nest_.rend(),
                                       [](const Nest& nest) { return nest.is_loop; });
        if (loop == nest_.rend()) fail("break_if outside a loop");
        loop->breaks.push_back(here);
        break;
      }
      case Opcode::else_: {
        if (nest_.empty() || nest_.back().is_loop || nest_.back().has_else) {
          fail("else without if");
        }
        Nest& nest = nest_.back();
        program_.code[nest.start].jump = here + 1;
        nest.has_else = true;
        nest.breaks.push_back(here);
        break;
      }
      case Opcode::endif: {
        if (nest_.empty() || nest_.back().is_loop) fail("endif without if");
        const Nest& nest = nest_.back();
        program_.code[nest.has_else ? nest.breaks.front() : nest.start].jump = here;
        nest_.pop_back();
        break;
      }
      case Opcode::endloop: {
        if (nest_.empty() || !nest_.back().is_loop) fail("endloop without loop");
        const Nest& nest = nest_.back();
        program_.code[nest.start].jump = here + 1;
        for (uint32_t from : nest.breaks) program_.code[from].jump = here + 1;
        program_.code[here].jump = nest.start;
        nest_.pop_back();
        break;
      }
      default:
        break;
    }
  }

  struct Nest {
    bool is_loop;
    uint32_t start;
    bool has_else;
    std::vector<uint32_t> breaks;  // instructions that wait for the end: break_if, or else
  };

  Program& program_;
  const Locate& locate_;
  size_t pc_ = 0;
  std::set<std::string> names_;
  std::vector<Constant> old_constants_;
  std::map<std::pair<bool, int64_t>, Slot> constants_;
  std::vector<Nest> nest_;
};

}  // namespace

int64_t buffer_bytes(const TileDecl& tile) {
  const int64_t bytes = tile.capacity * size_of(tile.dtype);
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

std::string describe(const Program& program, size_t instruction) {
  const Instruction& inst = program.code[instruction];
  std::string text = static_cast<int>(inst.op) < kOpcodeCount
                         ? std::string(mnemonic(inst.op))
                         : fmt::format("opcode {}", static_cast<int>(inst.op));
  if (const auto fn = fn_name(inst.op, inst.fn); !fn.empty()) text += fmt::format(".{}", fn);
  return fmt::format("instruction {} ({})", instruction, text);
}

void finalize(Program& program, const Locate& locate) {
  static std::atomic<uint64_t> last_id = 0;
  Program copy = program;  // a program that does not verify stays as it was
  Finalizer(copy, locate).run();
  copy.id = ++last_id;
  program = std::move(copy);
}

void finalize(Program& program) {
  finalize(program, [&](size_t instruction) { return describe(program, instruction); });
}

}  // namespace npu::sim

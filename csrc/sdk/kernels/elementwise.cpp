// One program family for all element-wise operations.
//
// After coalescing, the loop nest is either linear (everything contiguous or one value) or strided
// (see tile_walk.h). Inputs that are broadcast along a tile are loaded as a row, a column or a
// single element and broadcast by the vector engine.
#include "npu/kernels/elementwise.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/elementwise_table.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

using sdk::Builder;
using sdk::KernelKey;
using sdk::Operand;
using sdk::Pointer;
using sdk::Region;
using sdk::Tile;
using sdk::Value;

// Everything that distinguishes one program from another. Masks hold a bit for each input.
struct Variant {
  const ElementwiseOp* op = nullptr;
  DType out = DType::f32;
  std::array<DType, kMaxElementwiseInputs> in = {};
  DType compute = DType::f32;
  uint32_t immediate = 0;   // comes as an argument
  uint32_t single = 0;      // linear form: one element in memory
  uint32_t transposed = 0;  // contiguous along dimension 1: loaded so and transposed
  bool expand = false;      // no input covers the whole tile
  int dims = 0;             // 0: linear

  static bool has(uint32_t mask, int input) { return (mask >> input & 1) != 0; }
  // The tensors of the walk are the output and the inputs.
  uint32_t left_out() const { return immediate << 1; }

  KernelKey key() const {
    int64_t types = static_cast<int64_t>(out) | static_cast<int64_t>(compute) << 8;
    for (int i = 0; i < op->inputs; ++i) types |= static_cast<int64_t>(in[i]) << (16 + 8 * i);
    const auto index = static_cast<int64_t>(op - elementwise_table().data());
    return {"elementwise", {index, types, immediate, single, transposed, dims * 2 + expand}};
  }
};

Formula make_formula(const Variant& v) {
  Formula formula(v.compute, std::span(v.in).first(static_cast<size_t>(v.op->inputs)), v.immediate);
  formula.set_result(v.op->formula(formula), v.out);
  return formula;
}

// At most this many temporaries, whatever the types: one more than with the same type throughout,
// since a mixture may need a conversion.
int temporaries_bound(const ElementwiseOp& op) {
  static const auto* const bounds = [] {
    auto* list = new std::vector<int>;
    for (const ElementwiseOp& entry : elementwise_table()) {
      int most = 0;
      for (DType type : {DType::f32, DType::f16, DType::bf16, DType::i64, DType::b8}) {
        Variant v{.op = &entry, .out = type};
        v.in.fill(type);
        v.compute = sim::is_float(type) ? DType::f32 : DType::i64;
        most = std::max(most, make_formula(v).temporaries());
      }
      list->push_back(most + 1);
    }
    return list;
  }();
  return (*bounds)[static_cast<size_t>(&op - elementwise_table().data())];
}

// Elements that every tile of the program holds.
int64_t capacity_of(const Variant& v, const sim::Machine& machine) {
  const int temporaries = temporaries_bound(*v.op);
  int64_t bytes = sim::size_of(v.out) * (v.expand ? 3 : 2);
  bytes += int64_t{temporaries} * sim::size_of(v.compute);
  for (int i = 0; i < v.op->inputs; ++i) {
    if (v.has(v.immediate | v.single, i)) continue;
    const int buffers = load_buffers(machine) + (v.has(v.transposed, i) ? 2 : 0);
    bytes += int64_t{sim::size_of(v.in[i])} * buffers;
  }
  return tile_capacity(machine, bytes);
}

// ---- The program --------------------------------------------------------------------------------

class ProgramWriter {
 public:
  ProgramWriter(const Variant& variant, const sim::Machine& machine)
      : v_(variant), b_(std::string(variant.op->name), machine), formula_(make_formula(variant)) {
    capacity_ = capacity_of(v_, machine);
  }

  sim::Program write() {
    declare_arguments();
    const TileWalk walk(b_, v_.dims, 1 + v_.op->inputs, {.left_out = v_.left_out()});
    std::vector<Operand> operands;
    for (int i = 0; i < v_.op->inputs; ++i) operands.push_back(load(walk, i));
    const Tile result = compute(walk, operands);
    b_.store(pointers_[0], walk.offset(0), walk.region(0), result);
    return b_.finish();
  }

 private:
  void declare_arguments() {
    pointers_.push_back(b_.pointer("out"));
    for (int i = 0; i < v_.op->inputs; ++i) {
      const bool in_memory = !v_.has(v_.immediate, i);
      pointers_.push_back(in_memory ? b_.pointer(fmt::format("in{}", i)) : Pointer{});
    }
    const auto number = [&](std::string name) {
      return sim::is_float(v_.compute) ? b_.real(std::move(name)) : b_.integer(std::move(name));
    };
    for (int i = 0; i < v_.op->inputs; ++i) {
      immediates_.push_back(v_.has(v_.immediate, i) ? number(fmt::format("value{}", i)) : Value(0));
    }
    for (int i = 0; i < v_.op->scalars; ++i) scalars_.push_back(number(fmt::format("s{}", i)));
    if (v_.dims == 0) return;
    // 1 where the input is broadcast along a tile's rows or columns.
    for (int i = 0; i < v_.op->inputs; ++i) {
      const bool in_memory = !v_.has(v_.immediate, i);
      row_limits_.push_back(in_memory ? b_.integer(fmt::format("rows{}", i)) : Value(1));
      col_limits_.push_back(in_memory ? b_.integer(fmt::format("cols{}", i)) : Value(1));
    }
  }

  Operand load(const TileWalk& walk, int input) {
    if (v_.has(v_.immediate, input)) return immediates_[input];
    const int t = 1 + input;
    const std::string name = fmt::format("t{}", input);
    const DType type = v_.in[input];
    if (v_.has(v_.single, input)) {
      const Tile tile = b_.tile(name, type, 1, 2);
      b_.load(tile, pointers_[t], 0, {{1, 1}});
      return tile;
    }
    const Tile loaded = b_.tile(name, type, capacity_, load_buffers(b_.machine()));
    if (v_.dims == 0) {
      b_.load(loaded, pointers_[t], walk.offset(t), walk.region(t));
      return loaded;
    }
    if (!v_.has(v_.transposed, input)) {
      b_.load(loaded, pointers_[t], walk.offset(t),
              walk.region(t, row_limits_[input], col_limits_[input]));
      return loaded;
    }
    // Such tiles are one element thick in dimension 2.
    const Tile turned = b_.tile(name + ".t", type, capacity_, 2);
    b_.load(loaded, pointers_[t], walk.offset(t),
            Region({{walk.extent(0), walk.stride(t, 0)}}, {{walk.extent(1), walk.stride(t, 1)}}));
    b_.transpose(turned, loaded);
    return turned;
  }

  Tile compute(const TileWalk& walk, const std::vector<Operand>& operands) {
    int input = 0;
    const bool moves = formula_.is_input(&input);
    if (moves && !v_.expand) return operands[input].tile();
    const Tile out = b_.tile("result", v_.out, capacity_, 2);
    Tile narrow = out;
    if (moves) {
      narrow = operands[input].tile();
    } else {
      std::vector<Tile> temporaries;
      for (int i = 0; i < formula_.temporaries(); ++i) {
        temporaries.push_back(b_.tile(fmt::format("tmp{}", i), v_.compute, capacity_));
      }
      if (v_.expand) narrow = b_.tile("narrow", v_.out, capacity_);
      formula_.emit(b_, operands, scalars_, temporaries, narrow);
    }
    if (v_.expand) b_.expand(out, narrow, walk.rows(), walk.cols());
    return out;
  }

  const Variant& v_;
  Builder b_;
  Formula formula_;
  int64_t capacity_ = 0;
  std::vector<Pointer> pointers_;  // the output's, then the inputs'
  std::vector<Value> immediates_;
  std::vector<Value> scalars_;
  std::vector<Value> row_limits_;
  std::vector<Value> col_limits_;
};

// ---- The launch ---------------------------------------------------------------------------------

DType compute_type(const ElementwiseOp& op, const Tensor& out, TensorSpan inputs) {
  bool floating = op.domain == ElementwiseOp::Domain::reals;
  bool doubles = false;
  const auto consider = [&](const Tensor& tensor) {
    const auto type = static_cast<DType>(tensor.dtype);
    floating |= sim::is_float(type);
    // Numbers of the host are f64 by nature and follow the tensors.
    doubles |= type == DType::f64 && tensor.defined();
  };
  for (const Tensor& input : inputs) consider(input);
  if (op.domain != ElementwiseOp::Domain::predicate) consider(out);
  return doubles ? DType::f64 : floating ? DType::f32 : DType::i64;
}

// Is the nest one dimension that every tensor walks contiguously, or not at all? Notes the latter.
bool is_linear(const Iteration& nest, Variant& v) {
  if (nest.rank > 1) return false;
  if (nest.rank == 0) return true;
  if (nest.stride[0][0] != 1) return false;
  uint32_t single = 0;
  for (int i = 0; i < v.op->inputs; ++i) {
    if (v.has(v.immediate, i)) continue;
    const int64_t stride = nest.stride[1 + i][0];
    if (stride != 0 && stride != 1) return false;
    if (stride == 0) single |= 1U << i;
  }
  v.single = single;
  return true;
}

void choose_form(const Iteration& nest, Variant& v) {
  const bool linear = is_linear(nest, v);
  if (!linear) v.dims = nest.rank;
  v.expand = true;
  for (int i = 0; i < v.op->inputs; ++i) {
    if (v.has(v.immediate | v.single, i)) continue;
    const auto& stride = nest.stride[1 + i];
    if (linear || (stride[0] != 0 && (nest.rank < 2 || stride[1] != 0))) v.expand = false;
    if (nest.rank > 1 && stride[1] == 1 && stride[0] != 1 && stride[0] != 0) {
      v.transposed |= 1U << i;
    }
  }
}

npuStatus check(const ElementwiseOp& op, TensorSpan outputs, TensorSpan inputs,
                ScalarSpan scalars) {
  if (outputs.size() != 1 || inputs.size() != static_cast<size_t>(op.inputs) ||
      scalars.size() != static_cast<size_t>(op.scalars)) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: {} outputs, {} inputs and {} scalars given; it takes 1, {} and {}",
                      op.name, outputs.size(), inputs.size(), scalars.size(), op.inputs,
                      op.scalars);
  }
  NPU_RETURN_IF_ERROR(check_tensor(op.name, "the output", outputs[0]));
  for (const Tensor& input : inputs) {
    NPU_RETURN_IF_ERROR(check_tensor(op.name, "an input", input));
    if (input.defined()) NPU_RETURN_IF_ERROR(check_same_sizes(op.name, outputs[0], input));
  }
  return NPU_SUCCESS;
}

npuStatus launch_variant(const Variant& v, const Iteration& nest, const Tensor& out,
                         TensorSpan inputs, ScalarSpan scalars, npuStream stream) {
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, v.key(), [&v](const sim::Machine& m) { return ProgramWriter(v, m).write(); },
      &kernel));

  Arguments args;
  args.pointer(out.data);
  for (const Tensor& input : inputs) {
    if (input.defined()) args.pointer(input.data);
  }
  for (const Tensor& input : inputs) {
    if (!input.defined()) args.number(input.immediate, v.compute);
  }
  for (const Scalar& scalar : scalars) args.number(scalar, v.compute);

  const int64_t n = nest.numel();
  const int64_t capacity = capacity_of(v, *machine);
  const int64_t elements = target_elements(*machine, n, capacity);
  if (v.dims == 0) {
    const int64_t grid = pass_linear_walk(args, n, elements);
    return launch(kernel, grid, args, stream);
  }
  const Tiling tiling = v.transposed != 0 ? choose_square_tiling(nest, elements)
                                          : tiling_for(*machine, nest, capacity);
  for (int i = 0; i < v.op->inputs; ++i) {
    if (v.has(v.immediate, i)) continue;
    const auto& stride = nest.stride[1 + i];
    const bool one_row = stride[1] == 0 && (tiling.tile[2] == 1 || stride[2] == 0);
    args.integer(one_row ? 1 : kUnlimited);
    args.integer(stride[0] == 0 ? 1 : kUnlimited);
  }
  const int64_t grid = pass_strided_walk(args, nest, tiling, v.left_out());
  return launch(kernel, grid, args, stream);
}

}  // namespace

sim::Program library_elementwise(const ElementwiseOp& op, const sim::Machine& machine) {
  const DType type = op.domain == ElementwiseOp::Domain::integers ? DType::i64 : DType::f32;
  Variant v{.op = &op, .out = type, .compute = type};
  v.in.fill(type);
  if (op.domain == ElementwiseOp::Domain::predicate) v.out = DType::b8;
  return ProgramWriter(v, machine).write();
}

npuStatus elementwise(const ElementwiseOp* op, TensorSpan outputs, TensorSpan inputs,
                      ScalarSpan scalars, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    if (op == nullptr) return sdk::fail(NPU_ERROR_INVALID_VALUE, "no element-wise operation");
    NPU_RETURN_IF_ERROR(check(*op, outputs, inputs, scalars));
    const Tensor& out = outputs[0];
    if (out.numel() == 0) return NPU_SUCCESS;

    Variant v;
    v.op = op;
    v.out = static_cast<DType>(out.dtype);
    v.compute = compute_type(*op, out, inputs);
    if (op->domain == ElementwiseOp::Domain::integers && v.compute != DType::i64) {
      return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: takes integers, not floating-point tensors",
                        op->name);
    }
    if (op->domain == ElementwiseOp::Domain::reals && !sim::is_float(v.out)) {
      return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: its results are real, {} cannot hold them",
                        op->name, sim::name(v.out));
    }
    std::array<const Tensor*, 1 + kMaxElementwiseInputs> tensors = {&out};
    for (int i = 0; i < op->inputs; ++i) {
      tensors[1 + i] = &inputs[i];
      v.in[i] = static_cast<DType>(inputs[i].dtype);
      if (!inputs[i].defined()) v.immediate |= 1U << i;
    }
    Iteration nest = make_iteration(std::span(tensors).first(1 + inputs.size()));
    nest.sort_by_first();
    nest.coalesce();
    choose_form(nest, v);
    return launch_variant(v, nest, out, inputs, scalars, stream);
  });
}

}  // namespace npu::kernels

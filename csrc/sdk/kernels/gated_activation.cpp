// out = activation(x[:, :d]) * x[:, d:]: the element-wise table's formula times a second input.
#include <array>
#include <vector>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/elementwise_table.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/attention.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "gated_activation";
constexpr int kTensors = 3;          // out, the activated half, the gate
constexpr int kMostTemporaries = 4;  // of any of the formulas

const ElementwiseOp* formula_of(GatedActivation op) {
  static const std::array ops = {find_elementwise("silu"), find_elementwise("gelu"),
                                 find_elementwise("gelu_tanh")};
  const auto i = static_cast<size_t>(op);
  return i < ops.size() ? ops[i] : nullptr;
}

struct Variant {
  GatedActivation op = GatedActivation::silu;
  DType out = DType::f32;
  DType in = DType::f32;
  int dims = 0;

  DType compute() const { return out == DType::f64 || in == DType::f64 ? DType::f64 : DType::f32; }
};

Formula make_formula(const Variant& v) {
  const std::array inputs = {v.in, v.in};
  Formula formula(v.compute(), inputs, 0);
  formula.set_result(formula_of(v.op)->formula(formula) * formula.in(1), v.out);
  return formula;
}

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  const int64_t loaded = int64_t{2} * sim::size_of(v.in) * load_buffers(machine);
  const int64_t computed = int64_t{kMostTemporaries} * sim::size_of(v.compute());
  return tile_capacity(machine, loaded + computed + int64_t{2} * sim::size_of(v.out));
}

sim::Program build(const sim::Machine& machine, const Variant& v) {
  const Formula formula = make_formula(v);
  const int64_t capacity = capacity_of(machine, v);
  Builder b(std::string(formula_of(v.op)->name) + "_and_mul", machine);
  const std::array<Pointer, kTensors> pointers = {b.pointer("out"), b.pointer("x"),
                                                  b.pointer("gate")};
  const TileWalk walk(b, v.dims, kTensors);
  const int buffers = load_buffers(machine);
  const Tile x = b.tile("tx", v.in, capacity, buffers);
  const Tile gate = b.tile("tgate", v.in, capacity, buffers);
  const Tile out = b.tile("result", v.out, capacity, 2);
  std::vector<Tile> temporaries;
  for (int i = 0; i < formula.temporaries(); ++i) {
    temporaries.push_back(b.tile("tmp" + std::to_string(i), v.compute(), capacity));
  }
  b.load(x, pointers[1], walk.offset(1), walk.region(1));
  b.load(gate, pointers[2], walk.offset(2), walk.region(2));
  const std::array<Operand, 2> inputs = {x, gate};
  formula.emit(b, inputs, {}, temporaries, out);
  b.store(pointers[0], walk.offset(0), walk.region(0), out);
  return b.finish();
}

npuStatus check(GatedActivation op, const Tensor& out, const Tensor& x) {
  if (formula_of(op) == nullptr) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: unknown activation {}", kKernel,
                      static_cast<int>(op));
  }
  NPU_RETURN_IF_ERROR(check_tensor(kKernel, "out", out));
  NPU_RETURN_IF_ERROR(check_tensor(kKernel, "x", x));
  for (const Tensor* tensor : {&out, &x}) {
    const auto type = static_cast<DType>(tensor->dtype);
    if (sim::is_float(type)) continue;
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} is {}, it must be floating", kKernel,
                      tensor == &x ? "x" : "out", sim::name(type));
  }
  if (out.rank != 2 || x.rank != 2 || out.sizes[0] != x.sizes[0] ||
      x.sizes[1] != 2 * out.sizes[1]) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: out of rank {} and sizes [{}, {}], x of rank {} and sizes [{}, {}]; "
                      "expected are [rows, d] and [rows, 2 d]",
                      kKernel, out.rank, out.sizes[0], out.sizes[1], x.rank, x.sizes[0],
                      x.sizes[1]);
  }
  return NPU_SUCCESS;
}

}  // namespace

npuStatus gated_activation(GatedActivation op, const Tensor& out, const Tensor& x,
                           npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check(op, out, x));
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    if (out.numel() == 0) return NPU_SUCCESS;

    Tensor activated = x;
    activated.sizes[1] = out.sizes[1];
    Tensor gate = activated;
    gate.data = static_cast<char*>(x.data) +
                out.sizes[1] * x.strides[1] * sim::size_of(static_cast<DType>(x.dtype));
    const Tensor* const tensors[] = {&out, &activated, &gate};
    Iteration nest = make_iteration(tensors);
    nest.sort_by_first();
    nest.coalesce();
    const Variant v{op, static_cast<DType>(out.dtype), static_cast<DType>(x.dtype),
                    walk_dims(nest)};
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream,
        {kKernel,
         {static_cast<int64_t>(op), static_cast<int64_t>(v.out), static_cast<int64_t>(v.in),
          v.dims}},
        [&v](const sim::Machine& m) { return build(m, v); }, &kernel));

    Arguments args;
    for (const Tensor* tensor : tensors) args.pointer(tensor->data);
    const int64_t grid = pass_walk(args, nest, v.dims, *machine, capacity_of(*machine, v));
    return launch(kernel, grid, args, stream);
  });
}

sim::Program library_silu_and_mul(const sim::Machine& machine) {
  return build(machine, {GatedActivation::silu, DType::bf16, DType::bf16, 2});
}
sim::Program library_gelu_and_mul(const sim::Machine& machine) {
  return build(machine, {GatedActivation::gelu, DType::bf16, DType::bf16, 2});
}
sim::Program library_gelu_tanh_and_mul(const sim::Machine& machine) {
  return build(machine, {GatedActivation::gelu_tanh, DType::bf16, DType::bf16, 2});
}

}  // namespace npu::kernels

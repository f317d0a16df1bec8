// Checks operands, finds the program and launches it.
#include "npu/kernels/matmul.h"

#include "csrc/sdk/kernels/arguments.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_tiling.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/kernels/workspace.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

// Rank 3, whatever the rank was.
struct Matrix {
  void* data = nullptr;
  std::array<int64_t, 3> size = {1, 1, 1};
  std::array<int64_t, 3> stride = {0, 0, 0};

  Matrix() = default;
  explicit Matrix(const Tensor& tensor) : data(tensor.data) {
    for (int d = 0; d < tensor.rank; ++d) {
      const int to = d + 3 - tensor.rank;
      size[to] = tensor.sizes[d];
      stride[to] = tensor.sizes[d] == 1 ? 0 : tensor.strides[d];
    }
  }
  void transpose() {
    std::swap(size[1], size[2]);
    std::swap(stride[1], stride[2]);
  }
  bool row_major() const { return kernels::row_major(stride[1], stride[2], size[2]); }
};

npuStatus check(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& bias) {
  NPU_RETURN_IF_ERROR(check_tensor("matmul", "out", out));
  NPU_RETURN_IF_ERROR(check_tensor("matmul", "a", a));
  NPU_RETURN_IF_ERROR(check_tensor("matmul", "b", b));
  if (out.rank < 2 || out.rank > 3 || a.rank != out.rank || b.rank != out.rank) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "matmul: ranks {} = {} @ {}; all must be 2 or all 3",
                      out.rank, a.rank, b.rank);
  }
  if (a.dtype != b.dtype || a.dtype == NPU_BOOL) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "matmul: operands of dtype {} and {}; they must be equal and not b8",
                      sim::name(static_cast<DType>(a.dtype)),
                      sim::name(static_cast<DType>(b.dtype)));
  }
  const Matrix o(out);
  const Matrix l(a);
  const Matrix r(b);
  const bool fits = l.size[2] == r.size[1] && o.size[1] == l.size[1] && o.size[2] == r.size[2] &&
                    o.size[0] == l.size[0] && o.size[0] == r.size[0];
  if (!fits) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "matmul: [{}, {}, {}] @ [{}, {}, {}] does not give [{}, {}, {}]", l.size[0],
                      l.size[1], l.size[2], r.size[0], r.size[1], r.size[2], o.size[0], o.size[1],
                      o.size[2]);
  }
  if (bias.defined()) {
    NPU_RETURN_IF_ERROR(check_tensor("matmul", "bias", bias));
    NPU_RETURN_IF_ERROR(check_same_sizes("matmul", out, bias));
  }
  return NPU_SUCCESS;
}

struct Operands {
  const Matrix& out;
  const Matrix& a;
  const Matrix& b;
  const Matrix& bias;
  Scalar alpha;
  Scalar beta;
};

void pass_strides(Arguments& args, const Matrix& matrix) {
  for (const int64_t stride : matrix.stride) args.integer(stride);
}

void pass_scalars(Arguments& args, const MatmulForm& form, const Operands& operands) {
  if (!form.scaled) return;
  args.number(operands.alpha, form.accumulator());
  args.number(operands.beta, form.accumulator());
}

// Up to the strides of the operands.
Arguments product_arguments(const MatmulProblem& problem, const Operands& operands,
                            const Matrix& out, bool has_bias) {
  Arguments args;
  args.pointer(out.data);
  args.pointer(operands.a.data);
  args.pointer(operands.b.data);
  if (has_bias) args.pointer(operands.bias.data);
  for (const int64_t extent : {problem.m, problem.n, problem.k}) args.integer(extent);
  pass_strides(args, out);
  pass_strides(args, operands.a);
  pass_strides(args, operands.b);
  return args;
}

npuStatus product_kernel(npuStream stream, const MatmulForm& form, const MatmulTiling& tiling,
                         npuKernel* kernel) {
  return sdk::cached_kernel(
      stream, matmul_key(form, tiling),
      [&](const sim::Machine& target) { return build_matmul(target, form, tiling); }, kernel);
}

npuStatus launch_whole(const MatmulProblem& problem, const MatmulTiling& tiling,
                       const Operands& operands, npuStream stream) {
  const MatmulForm& form = problem.form;
  const bool has_bias = form.bias != MatmulForm::Bias::none;
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(product_kernel(stream, form, tiling, &kernel));
  Arguments args = product_arguments(problem, operands, operands.out, has_bias);
  if (has_bias) pass_strides(args, operands.bias);
  pass_scalars(args, form, operands);
  return launch(kernel, matmul_grid(problem, tiling), args, stream);
}

// Partial sums of the parts of k, then their sum.
npuStatus launch_split(const MatmulProblem& problem, const MatmulTiling& tiling,
                       const Operands& operands, const sim::Machine& machine, npuStream stream) {
  const MatmulForm& form = problem.form;
  const bool has_bias = form.bias != MatmulForm::Bias::none;
  const int64_t outputs = problem.batch * problem.m * problem.n;
  Workspace workspace(stream);
  NPU_RETURN_IF_ERROR(
      workspace.allocate(outputs * tiling.splits * sim::size_of(form.accumulator())));
  Matrix partial;
  partial.data = workspace.data();
  partial.stride = {problem.m * problem.n, problem.n, 1};

  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(product_kernel(stream, form, tiling, &kernel));
  Arguments args = product_arguments(problem, operands, partial, false);
  args.integer(matmul_split_length(machine, problem.k, tiling.splits));
  args.integer(problem.batch);
  NPU_RETURN_IF_ERROR(launch(kernel, matmul_grid(problem, tiling), args, stream));

  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, matmul_combine_key(form),
      [&](const sim::Machine& target) { return build_matmul_combine(target, form); }, &kernel));
  const int64_t columns = matmul_combine_columns(machine, problem, tiling.splits);
  Arguments second;
  second.pointer(operands.out.data);
  second.pointer(partial.data);
  if (has_bias) second.pointer(operands.bias.data);
  const int64_t rows = problem.batch * problem.m;
  for (const int64_t value : {int64_t{tiling.splits}, rows, problem.m, problem.n, columns}) {
    second.integer(value);
  }
  pass_strides(second, operands.out);
  if (has_bias) pass_strides(second, operands.bias);
  pass_scalars(second, form, operands);
  return launch(kernel, rows * ceil_div(problem.n, columns), second, stream);
}

}  // namespace

npuStatus matmul(const Tensor& out, const Tensor& a, const Tensor& b,
                 const MatmulEpilogue& epilogue, npuStream stream) {
  NPU_RETURN_IF_ERROR(check(out, a, b, epilogue.bias));
  if (out.numel() == 0) return NPU_SUCCESS;
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine == nullptr) return NPU_ERROR_INVALID_HANDLE;

  Matrix o(out);
  Matrix l(a);
  Matrix r(b);
  Matrix bias(epilogue.bias);
  const bool has_bias = epilogue.bias.defined();
  if (!o.row_major()) {  // out^T = b^T a^T
    o.transpose();
    std::swap(l, r);
    l.transpose();
    r.transpose();
    bias.transpose();
  }

  MatmulForm form;
  form.type = static_cast<DType>(a.dtype);
  form.out_type = static_cast<DType>(out.dtype);
  form.transpose_a = !l.row_major();
  form.transpose_b = !r.row_major();
  form.activation = epilogue.activation;
  form.scaled = epilogue.alpha.real != 1 || (has_bias && epilogue.beta.real != 1);
  if (has_bias) {
    form.bias_type = static_cast<DType>(epilogue.bias.dtype);
    form.bias = bias.stride[1] == 0   ? MatmulForm::Bias::row
                : bias.stride[2] == 0 ? MatmulForm::Bias::column
                                      : MatmulForm::Bias::full;
  }

  const MatmulProblem problem = form.problem(o.size[0], o.size[1], o.size[2], l.size[2]);
  const MatmulTiling tiling = choose_matmul_tiling(*machine, problem);
  const Operands operands{o, l, r, bias, epilogue.alpha, epilogue.beta};
  return tiling.splits > 1 ? launch_split(problem, tiling, operands, *machine, stream)
                           : launch_whole(problem, tiling, operands, stream);
}

}  // namespace npu::kernels

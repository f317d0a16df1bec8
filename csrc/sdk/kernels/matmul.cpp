// out = activation(alpha * (a @ b) + beta * bias): a program for each [m, n] tile of the output
// walks k with rotating buffers and applies the epilogue on the accumulator.
#include "npu/kernels/matmul.h"

#include <algorithm>
#include <numbers>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/formula.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_tiling.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

using sdk::Builder;
using sdk::Pointer;
using sdk::Region;
using sdk::Tile;
using sdk::Value;

DType accumulator_of(DType type) {
  if (type == DType::f64) return DType::f64;
  return sim::is_float(type) ? DType::f32 : DType::i64;
}

Expr activate(const Expr& x, Activation activation) {
  constexpr double kSqrt2 = std::numbers::sqrt2;
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return max(x, 0);
    case Activation::gelu:
      return 0.5 * x * (1 + erf(x * (1 / kSqrt2)));
    case Activation::gelu_tanh: {
      constexpr double kBeta = kSqrt2 * std::numbers::inv_sqrtpi;
      return 0.5 * x * (1 + tanh(kBeta * (x + 0.044715 * (square(x) * x))));
    }
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
  }
  return x;
}

}  // namespace

bool MatmulForm::has_epilogue() const {
  return scaled || bias != Bias::none || activation != Activation::none;
}

DType MatmulForm::accumulator() const { return accumulator_of(type); }

Formula MatmulForm::epilogue() const {
  const std::array<DType, 2> inputs = {accumulator(), bias_type};
  Formula formula(accumulator(), std::span(inputs).first(bias == Bias::none ? 1 : 2), 0);
  Expr x = formula.in(0);
  if (scaled) x = formula.scalar(0) * x;
  if (bias != Bias::none) x = x + (scaled ? formula.scalar(1) * formula.in(1) : formula.in(1));
  formula.set_result(activate(x, activation), out_type);
  return formula;
}

int MatmulForm::epilogue_bytes() const {
  if (!has_epilogue()) return out_type == accumulator() ? 0 : sim::size_of(out_type);
  int bytes = sim::size_of(out_type) + epilogue().temporaries() * sim::size_of(accumulator());
  if (bias != Bias::none) bytes += sim::size_of(bias_type);
  return bytes;
}

sdk::KernelKey MatmulForm::key(const MatmulTiling& tiling) const {
  const int64_t types = static_cast<int64_t>(type) | static_cast<int64_t>(out_type) << 8 |
                        static_cast<int64_t>(bias_type) << 16;
  const int64_t forms = int64_t{transpose_a} | int64_t{transpose_b} << 1 | int64_t{scaled} << 2 |
                        static_cast<int64_t>(bias) << 4 | static_cast<int64_t>(activation) << 8;
  return {"gemm",
          {types, forms, tiling.m << 32 | tiling.n, tiling.k, tiling.load_buffers,
           tiling.accumulators}};
}

sim::Program build_matmul(const sim::Machine& machine, const MatmulForm& form,
                          const MatmulTiling& tiling) {
  Builder b("gemm", machine);
  const Pointer out = b.pointer("out");
  const Pointer lhs = b.pointer("a");
  const Pointer rhs = b.pointer("b");
  const bool has_bias = form.bias != MatmulForm::Bias::none;
  const Pointer bias = has_bias ? b.pointer("bias") : Pointer{};
  const Value m = b.integer("m");
  const Value n = b.integer("n");
  const Value k = b.integer("k");
  const auto strides = [&](const std::string& name) {
    return std::array<Value, 3>{b.integer(name + "_batch"), b.integer(name + "_row"),
                                b.integer(name + "_col")};
  };
  const auto out_stride = strides("out");
  const auto a_stride = strides("a");
  const auto b_stride = strides("b");
  const auto bias_stride = has_bias ? strides("bias") : std::array<Value, 3>{0, 0, 0};
  std::vector<Value> scalars;
  if (form.scaled) {
    const bool reals = sim::is_float(form.accumulator());
    for (const char* name : {"alpha", "beta"}) {
      scalars.push_back(reals ? b.real(name) : b.integer(name));
    }
  }

  const DType acc_type = form.accumulator();
  const Tile a_tile = b.tile("a_tile", form.type, tiling.m * tiling.k, tiling.load_buffers);
  const Tile b_tile = b.tile("b_tile", form.type, tiling.k * tiling.n, tiling.load_buffers);
  const Tile acc = b.tile("acc", acc_type, tiling.m * tiling.n, tiling.accumulators);

  // Neighbouring programs share the columns of b.
  const Value row_tiles = b.ceil_div(m, tiling.m);
  const Value col_tiles = b.ceil_div(n, tiling.n);
  const Value row = (b.pid() % row_tiles) * tiling.m;
  const Value outer = b.pid() / row_tiles;
  const Value col = (outer % col_tiles) * tiling.n;
  const Value batch = outer / col_tiles;
  const Value rows = b.min(m - row, tiling.m);
  const Value cols = b.min(n - col, tiling.n);
  const Value a_start = batch * a_stride[0] + row * a_stride[1];
  const Value b_start = batch * b_stride[0] + col * b_stride[2];

  b.loop(b.ceil_div(k, tiling.k), [&](const Value& step) {
    const Value start = step * tiling.k;
    const Value depth = b.min(k - start, tiling.k);
    const Value a_offset = a_start + start * a_stride[2];
    const Value b_offset = b_start + start * b_stride[1];
    const sdk::Dim a_rows{rows, a_stride[1]};
    const sdk::Dim a_depth{depth, a_stride[2]};
    const sdk::Dim b_depth{depth, b_stride[1]};
    const sdk::Dim b_cols{cols, b_stride[2]};
    b.load(a_tile, lhs, a_offset,
           form.transpose_a ? Region({a_depth}, {a_rows}) : Region({a_rows}, {a_depth}));
    b.load(b_tile, rhs, b_offset,
           form.transpose_b ? Region({b_cols}, {b_depth}) : Region({b_depth}, {b_cols}));
    const auto product = [&](bool zero) {
      b.mma(acc, a_tile, b_tile,
            {.zero = zero, .transpose_a = form.transpose_a, .transpose_b = form.transpose_b});
    };
    b.if_(step == 0, [&] { product(true); }, [&] { product(false); });
  });
  b.if_(k == 0, [&] { b.fill(acc, sim::is_float(acc_type) ? Value(0.0) : Value(0), rows, cols); });

  const Value out_offset = batch * out_stride[0] + row * out_stride[1] + col * out_stride[2];
  const Region out_region({{rows, out_stride[1]}}, {{cols, out_stride[2]}});
  if (!form.has_epilogue() && form.out_type == acc_type) {
    b.store(out, out_offset, out_region, acc);
    return b.finish();
  }
  const Tile result = b.tile("result", form.out_type, tiling.m * tiling.n);
  if (!form.has_epilogue()) {
    b.vector(sdk::UnaryFn::copy, result, acc);
  } else {
    std::vector<sdk::Operand> operands = {acc};
    if (has_bias) {
      // Broadcast dimensions are loaded once and broadcast by the vector engine.
      const bool by_row = form.bias != MatmulForm::Bias::row;
      const bool by_col = form.bias != MatmulForm::Bias::column;
      const Value bias_rows = by_row ? rows : Value(1);
      const Value bias_cols = by_col ? cols : Value(1);
      const int64_t capacity = (by_row ? tiling.m : 1) * (by_col ? tiling.n : 1);
      const Tile bias_tile = b.tile("bias_tile", form.bias_type, capacity);
      b.load(bias_tile, bias, batch * bias_stride[0] + row * bias_stride[1] + col * bias_stride[2],
             Region({{bias_rows, bias_stride[1]}}, {{bias_cols, bias_stride[2]}}));
      operands.emplace_back(bias_tile);
    }
    const Formula formula = form.epilogue();
    std::vector<Tile> temporaries;
    for (int i = 0; i < formula.temporaries(); ++i) {
      temporaries.push_back(b.tile("tmp" + std::to_string(i), acc_type, tiling.m * tiling.n));
    }
    formula.emit(b, operands, scalars, temporaries, result);
  }
  b.store(out, out_offset, out_region, result);
  return b.finish();
}

namespace {

// Rank 3, whatever the rank was.
struct Matrix {
  void* data = nullptr;
  std::array<int64_t, 3> size = {1, 1, 1};
  std::array<int64_t, 3> stride = {0, 0, 0};

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
  // Is the last dimension the one that memory walks?
  bool row_major() const { return stride[2] == 1 || size[2] == 1 || stride[1] != 1; }
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

  MatmulProblem problem = form.problem(o.size[0], o.size[1], o.size[2], l.size[2]);
  const MatmulTiling tiling = choose_matmul_tiling(*machine, problem);
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, form.key(tiling),
      [&](const sim::Machine& target) { return build_matmul(target, form, tiling); }, &kernel));

  std::array<npuArg, 24> args;
  int count = 0;
  const auto push = [&](npuArg value) { args[count++] = value; };
  push(sdk::arg(o.data));
  push(sdk::arg(l.data));
  push(sdk::arg(r.data));
  if (has_bias) push(sdk::arg(bias.data));
  for (const int64_t extent : {o.size[1], o.size[2], l.size[2]}) push(sdk::arg(extent));
  for (const Matrix* matrix : {&o, &l, &r, &bias}) {
    if (matrix == &bias && !has_bias) continue;
    for (const int64_t stride : matrix->stride) push(sdk::arg(stride));
  }
  if (form.scaled) {
    for (const Scalar& scalar : {epilogue.alpha, epilogue.beta}) {
      push(sim::is_float(form.accumulator()) ? sdk::arg(scalar.real) : sdk::arg(scalar.integer));
    }
  }
  return npuLaunchKernel(kernel, matmul_grid(problem, tiling), args.data(), count, stream);
}

MatmulProblem MatmulForm::problem(int64_t batch, int64_t m, int64_t n, int64_t k) const {
  MatmulProblem problem;
  problem.batch = batch;
  problem.m = m;
  problem.n = n;
  problem.k = k;
  problem.type = type;
  problem.element_bytes = sim::size_of(type);
  problem.accumulator_bytes = sim::size_of(accumulator());
  problem.out_bytes = sim::size_of(out_type);
  problem.epilogue_bytes = epilogue_bytes();
  return problem;
}

int64_t matmul_grid(const MatmulProblem& problem, const MatmulTiling& tiling) {
  const auto tiles = [](int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; };
  return problem.batch * tiles(problem.m, tiling.m) * tiles(problem.n, tiling.n);
}

}  // namespace npu::kernels

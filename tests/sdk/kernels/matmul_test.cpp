#include "csrc/sdk/kernels/matmul.h"

#include <gtest/gtest.h>

#include <numbers>
#include <string>

#include "csrc/sdk/kernels/matmul_tiling.h"
#include "npu/kernels/matmul.h"
#include "tests/sdk/kernels/device_tensor.h"
#include "tests/sdk/kernels/estimator.h"

namespace npu::kernels::testing {
namespace {

using Layout = std::vector<int>;

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu:
      return x / 2 * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
  }
  return x;
}

struct Case {
  npuDataType type = NPU_F32;
  npuDataType out_type = NPU_F32;
  int64_t batch = 1, m = 1, k = 1, n = 1;
  Layout a_layout = {}, b_layout = {}, out_layout = {};
  double alpha = 1, beta = 1;
  std::vector<double> bias = {};  // [m, n], or empty
  Activation activation = Activation::none;

  double tolerance_of() const {
    return std::max(tolerance(out_type), type == NPU_F64 ? 1e-12 : 3e-6 * std::sqrt(k + 1.0));
  }
  std::vector<double> solve(const std::vector<double>& a, const std::vector<double>& b) const {
    std::vector<double> out;
    for (int64_t g = 0; g < batch; ++g) {
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t l = 0; l < k; ++l) sum += a[(g * m + i) * k + l] * b[(g * k + l) * n + j];
          double x = alpha * sum;
          if (!bias.empty()) x += beta * bias[static_cast<size_t>(i * n + j)];
          out.push_back(activated(activation, x));
        }
      }
    }
    return out;
  }
};

void check(const Case& c, const MatmulEpilogue& epilogue = {}) {
  SCOPED_TRACE(std::to_string(c.batch) + " x " + std::to_string(c.m) + "x" + std::to_string(c.k) +
               "x" + std::to_string(c.n) + " dtype " + std::to_string(c.type));
  const bool integer = c.type >= NPU_I64;
  const double range = integer ? 5 : 1;
  DeviceTensor a(c.type, {c.batch, c.m, c.k}, c.a_layout);
  DeviceTensor b(c.type, {c.batch, c.k, c.n}, c.b_layout);
  DeviceTensor out(c.out_type, {c.batch, c.m, c.n}, c.out_layout);
  const auto a_values = random_values(c.type, a.numel(), integer ? 0 : -range, range, 1);
  const auto b_values = random_values(c.type, b.numel(), integer ? 0 : -range, range, 2);
  a.set(a_values);
  b.set(b_values);
  MatmulEpilogue full = epilogue;
  full.alpha = c.alpha;
  full.beta = c.beta;
  full.activation = c.activation;
  npuCounters before{}, after{};
  NPU_ASSERT_OK(npuGetCounters(0, &before));
  NPU_ASSERT_OK(matmul(out, a, b, full, stream()));
  NPU_ASSERT_OK(npuGetCounters(0, &after));
  expect_close(out.get_all(), c.solve(a_values, b_values), c.tolerance_of());
  EXPECT_EQ(after.macs - before.macs, static_cast<uint64_t>(c.batch * c.m * c.k * c.n));
  const int64_t compulsory = (a.numel() + b.numel()) * static_cast<int64_t>(element_size(c.type));
  EXPECT_GE(after.dma_read_bytes - before.dma_read_bytes, static_cast<uint64_t>(compulsory));
  const auto written = static_cast<uint64_t>(out.numel()) * element_size(c.out_type);
  if (after.launches - before.launches == 1) {
    EXPECT_EQ(after.dma_write_bytes - before.dma_write_bytes, written);
  } else {  // partial sums
    EXPECT_GT(after.dma_write_bytes - before.dma_write_bytes, written);
  }
}

TEST(Matmul, TypesAndShapes) {
  const std::vector<std::array<int64_t, 3>> shapes = {{1, 1, 1},    {1, 300, 5},  {3, 5, 7},
                                                      {17, 64, 33}, {65, 130, 1}, {70, 33, 129}};
  for (const npuDataType type : {NPU_F32, NPU_BF16, NPU_F16, NPU_F64, NPU_I64, NPU_I32, NPU_I8}) {
    const npuDataType out_type = type == NPU_I8 ? NPU_I32 : type;
    for (const auto& [m, k, n] : shapes) {
      check({.type = type, .out_type = out_type, .m = m, .k = k, .n = n});
    }
  }
  check({.type = NPU_BF16, .out_type = NPU_F32, .m = 20, .k = 40, .n = 60});
}

TEST(Matmul, LayoutsAndBatches) {
  const Layout rows = {0, 1, 2};
  const Layout columns = {0, 2, 1};
  for (const npuDataType type : {NPU_F32, NPU_BF16}) {
    for (const Layout& a : {rows, columns}) {
      for (const Layout& b : {rows, columns}) {
        for (const Layout& out : {rows, columns}) {
          check({.type = type,
                 .out_type = type,
                 .batch = 3,
                 .m = 19,
                 .k = 37,
                 .n = 23,
                 .a_layout = a,
                 .b_layout = b,
                 .out_layout = out});
        }
      }
    }
  }
}

TEST(Matmul, EmptySumIsTheEpilogueOfZero) {
  DeviceTensor out(NPU_F32, {2, 3});
  DeviceTensor memory(NPU_F32, {1});
  Tensor a = memory.view();
  a.rank = 2;
  a.sizes = {2, 0};
  a.strides = {0, 1};
  Tensor b = a;
  b.sizes = {0, 3};
  b.strides = {3, 1};
  DeviceTensor bias(NPU_F32, {3});
  bias.set({1, 2, 3});
  MatmulEpilogue epilogue;
  epilogue.bias = bias.broadcast(0, 2);
  NPU_ASSERT_OK(matmul(out, a, b, epilogue, stream()));
  expect_close(out.get_all(), {1, 2, 3, 1, 2, 3}, 0);
  NPU_ASSERT_OK(matmul(out, a, b, {}, stream()));
  expect_close(out.get_all(), {0, 0, 0, 0, 0, 0}, 0);
}

// Few outputs and a long inner dimension: on several cores k is split.
TEST(Matmul, SplitInnerDimension) {
  for (const npuDataType type : {NPU_F32, NPU_BF16, NPU_F64, NPU_I32}) {
    MatmulForm form;
    form.type = form.out_type = static_cast<DType>(type);
    const MatmulProblem problem = form.problem(2, 3, 70, 6000);
    const sim::Machine& machine = *sdk::machine_of(stream());
    const MatmulTiling tiling = choose_matmul_tiling(machine, problem);
    EXPECT_EQ(tiling.splits > 1, machine.core.count > 1) << machine.name;
    for (const Layout& layout : {Layout{0, 1, 2}, Layout{0, 2, 1}}) {
      check({.type = type,
             .out_type = type,
             .batch = 2,
             .m = 3,
             .k = 6000,
             .n = 70,
             .a_layout = layout,
             .b_layout = layout,
             .out_layout = layout});
    }
  }
  for (const auto& [rows, columns] : {std::array{0, 1}, std::array{1, 0}, std::array{1, 1}}) {
    Case c{.type = NPU_F32, .out_type = NPU_F32, .m = 5, .k = 5000, .n = 66};
    c.alpha = 0.5;
    c.beta = 3;
    c.activation = Activation::relu;
    DeviceTensor bias(NPU_F32, {5, 66});
    const auto values = random_values(NPU_F32, bias.numel(), -9, 9, 3);
    bias.set(values);
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < c.n; ++j) {
        c.bias.push_back(values[static_cast<size_t>(rows * i * c.n + columns * j)]);
      }
    }
    MatmulEpilogue epilogue;
    epilogue.bias = bias.view();
    epilogue.bias.rank = 3;
    epilogue.bias.sizes = {1, c.m, c.n};
    epilogue.bias.strides = {0, rows * c.n, columns};
    check(c, epilogue);
  }
}

TEST(Matmul, BroadcastBatch) {
  DeviceTensor a(NPU_F32, {4, 3, 5}), b(NPU_F32, {5, 2}), out(NPU_F32, {4, 3, 2});
  const auto a_values = random_values(NPU_F32, 60, -1, 1, 1);
  const auto b_values = random_values(NPU_F32, 10, -1, 1, 2);
  a.set(a_values);
  b.set(b_values);
  NPU_ASSERT_OK(matmul(out, a, b.broadcast(0, 4), {}, stream()));
  std::vector<double> repeated;
  for (int i = 0; i < 4; ++i) repeated.insert(repeated.end(), b_values.begin(), b_values.end());
  const Case c{.batch = 4, .m = 3, .k = 5, .n = 2};
  expect_close(out.get_all(), c.solve(a_values, repeated), 1e-5);
}

TEST(Matmul, Epilogues) {
  constexpr int64_t kM = 35;
  constexpr int64_t kN = 41;
  enum class Form { row, column, full };
  for (const npuDataType type : {NPU_F32, NPU_BF16}) {
    for (const npuDataType bias_type : {NPU_F32, NPU_BF16}) {
      for (const Form form : {Form::row, Form::column, Form::full}) {
        for (const Activation activation :
             {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh,
              Activation::silu, Activation::sigmoid, Activation::tanh}) {
          const bool row = form == Form::row;
          const bool column = form == Form::column;
          DeviceTensor bias(bias_type, row      ? std::vector<int64_t>{kN}
                                       : column ? std::vector<int64_t>{kM}
                                                : std::vector<int64_t>{kM, kN});
          const auto values = random_values(bias_type, bias.numel(), -1, 1, 3);
          bias.set(values);
          Case c{.type = type, .out_type = type, .m = kM, .k = 29, .n = kN};
          c.alpha = activation == Activation::none ? 0.5 : 1;
          c.beta = activation == Activation::none ? -2 : 1;
          c.activation = activation;
          for (int64_t i = 0; i < kM; ++i) {
            for (int64_t j = 0; j < kN; ++j) {
              c.bias.push_back(values[static_cast<size_t>(row ? j : column ? i : i * kN + j)]);
            }
          }
          MatmulEpilogue epilogue;
          const Tensor matrix = row      ? bias.broadcast(0, kM)
                                : column ? bias.broadcast(1, kN)
                                         : bias.view();
          epilogue.bias = matrix;
          epilogue.bias.rank = 3;
          epilogue.bias.sizes = {1, kM, kN};
          epilogue.bias.strides = {0, matrix.strides[0], matrix.strides[1]};
          check(c, epilogue);
        }
      }
    }
  }
}

TEST(Matmul, BadArguments) {
  DeviceTensor a(NPU_F32, {2, 3}), b(NPU_F32, {4, 5}), out(NPU_F32, {2, 5}),
      other(NPU_BF16, {3, 5});
  EXPECT_EQ(matmul(out, a, b, {}, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_NE(std::string(npuGetLastErrorString()).find("[1, 2, 3] @ [1, 4, 5]"), std::string::npos)
      << npuGetLastErrorString();
  EXPECT_EQ(matmul(out, a, other, {}, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_NE(std::string(npuGetLastErrorString()).find("f32 and bf16"), std::string::npos)
      << npuGetLastErrorString();
  DeviceTensor fitting(NPU_F32, {3, 5}), wrong(NPU_F32, {2, 6});
  MatmulEpilogue epilogue;
  epilogue.bias = wrong;
  EXPECT_EQ(matmul(out, a, fitting, epilogue, stream()), NPU_ERROR_INVALID_VALUE);
  Tensor fp8 = a.view();
  fp8.dtype = NPU_F8E4M3;
  EXPECT_EQ(matmul(out, fp8, fp8, {}, stream()), NPU_ERROR_UNIMPLEMENTED);
}

// ---- Tilings ----

std::vector<double> run_tiled(const MatmulProblem& p, const MatmulTiling& tiling, const Tensor& a,
                              const Tensor& b, DeviceTensor& out) {
  npuKernel kernel = nullptr;
  NPU_EXPECT_OK(sdk::cached_kernel(
      stream(), matmul_key(p.form, tiling),
      [&](const sim::Machine& machine) { return build_matmul(machine, p.form, tiling); }, &kernel));
  const Tensor c = out.view();
  std::vector<npuArg> args = {sdk::arg(c.data), sdk::arg(a.data), sdk::arg(b.data),
                              sdk::arg(p.m),    sdk::arg(p.n),    sdk::arg(p.k)};
  for (const Tensor& tensor : {c, a, b}) {
    for (const int64_t stride : {int64_t{0}, tensor.strides[0], tensor.strides[1]}) {
      args.push_back(sdk::arg(stride));
    }
  }
  NPU_EXPECT_OK(npuLaunchKernel(kernel, matmul_grid(p, tiling), args.data(),
                                static_cast<int>(args.size()), stream()));
  return out.get_all();
}

TEST(MatmulTiling, ResultsAreTheSameBitsInAnyTiling) {
  constexpr int64_t kM = 192;
  constexpr int64_t kN = 384;
  constexpr int64_t kK = 320;
  const sim::Machine& machine = *sdk::machine_of(stream());
  for (const npuDataType type : {NPU_F32, NPU_BF16}) {
    MatmulForm form;
    form.type = form.out_type = static_cast<DType>(type);
    const MatmulProblem problem = form.problem(1, kM, kN, kK);
    DeviceTensor a(type, {kM, kK}), b(type, {kK, kN}), out(type, {kM, kN});
    a.set(random_values(type, a.numel(), -1, 1, 1));
    b.set(random_values(type, b.numel(), -1, 1, 2));
    std::vector<double> first;
    int compared = 0;
    for (const int64_t m : {32, 64, 192}) {
      for (const auto& [n, chunk] :
           {std::array{32, 32}, std::array{64, 32}, std::array{384, 64}, std::array{128, 128}}) {
        for (const int64_t k : {16, 64, 320}) {
          for (const auto& [rows, cols] : {std::array{1, 1}, std::array{2, 2}, std::array{1, 4}}) {
            const MatmulTiling tiling{
                .m = m, .n = n, .k = k, .chunk = chunk, .cluster_rows = rows, .cluster_cols = cols};
            if (!matmul_fits(machine, form, tiling)) continue;
            if (machine.core.count % tiling.cluster() != 0) continue;
            const std::vector<double> result = run_tiled(problem, tiling, a, b, out);
            if (first.empty()) first = result;
            EXPECT_EQ(result, first) << m << "x" << n << "x" << k << " chunk " << chunk
                                     << " cluster " << rows << "x" << cols;
            ++compared;
          }
        }
      }
    }
    EXPECT_GE(compared, 2);
  }
}

npuActivity timed(int64_t m, int64_t k, int64_t n, const std::vector<const char*>& overrides = {}) {
  Estimator estimator("n1", overrides);
  const Tensor out = estimator.tensor(NPU_BF16, 2, {m, n});
  const Tensor a = estimator.tensor(NPU_BF16, 2, {m, k});
  const Tensor b = estimator.tensor(NPU_BF16, 2, {k, n});
  NPU_EXPECT_OK(matmul(out, a, b, {}, estimator.stream()));
  return estimator.activities().back();
}

TEST(MatmulTime, FollowsTheMachineFile) {
  const npuActivity decode = timed(64, 4096, 14336);
  EXPECT_EQ(decode.cycles, timed(64, 4096, 14336).cycles);
  EXPECT_EQ(decode.counters.macs, 64ull * 4096 * 14336);
  EXPECT_GT(timed(64, 300, 500).counters.padded_macs, 0u);
  EXPECT_GE(decode.counters.dma_read_bytes, 2ull * (64 * 4096 + 4096 * 14336));
  EXPECT_EQ(decode.counters.dma_write_bytes, 2ull * 64 * 14336);

  const double slowdown =
      timed(64, 4096, 14336, {"hbm.bandwidth_gbps=x0.5"}).duration_ns / decode.duration_ns;
  EXPECT_GE(slowdown, 1.8);
  EXPECT_LE(slowdown, 2.1);

  const npuActivity cube = timed(4096, 4096, 4096);
  EXPECT_LT(timed(4096, 4096, 4096, {"matrix.rows=256", "matrix.cols=256"}).duration_ns,
            cube.duration_ns);
  EXPECT_GT(cube.matrix_utilization, 0.85);
  EXPECT_LE(cube.matrix_utilization, 1);
}

}  // namespace
}  // namespace npu::kernels::testing

#include <gtest/gtest.h>

#include <numbers>
#include <string>

#include "npu/kernels/attention.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels::testing {
namespace {

double activated(GatedActivation op, double x) {
  switch (op) {
    case GatedActivation::silu:
      return x / (1 + std::exp(-x));
    case GatedActivation::gelu:
      return x / 2 * std::erfc(-x / std::numbers::sqrt2);
    case GatedActivation::gelu_tanh:
      break;
  }
  const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x / 2 * (1 + std::tanh(inner));
}

void check(GatedActivation op, npuDataType type, npuDataType out_type, int64_t rows, int64_t d,
           const std::vector<int>& layout = {}, int64_t gap = 1) {
  DeviceTensor x(type, {rows, 2 * d}, layout, gap), out(out_type, {rows, d}, layout, gap);
  const auto values = random_values(type, x.numel(), -5, 5);
  x.set(values);
  std::vector<double> expected;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < d; ++c) {
      const auto at = static_cast<size_t>(r * 2 * d + c);
      expected.push_back(activated(op, values[at]) * values[at + static_cast<size_t>(d)]);
    }
  }
  NPU_ASSERT_OK(gated_activation(op, out, x, stream()));
  expect_close(out.get_all(), expected, std::max(tolerance(out_type), 4e-6));
}

TEST(GatedActivation, OperationsTypesAndSizes) {
  for (const auto op : {GatedActivation::silu, GatedActivation::gelu, GatedActivation::gelu_tanh}) {
    for (const npuDataType type : {NPU_F32, NPU_BF16, NPU_F16, NPU_F64}) {
      check(op, type, type, 3, 7);
      check(op, type, type, 1, 1000);
    }
    check(op, NPU_BF16, NPU_F32, 5, 33);
  }
  check(GatedActivation::silu, NPU_F32, NPU_F32, 70, 513);
}

TEST(GatedActivation, OtherStrides) {
  check(GatedActivation::silu, NPU_F32, NPU_F32, 9, 20, {1, 0});
  check(GatedActivation::silu, NPU_BF16, NPU_BF16, 9, 20, {0, 1}, 2);
}

TEST(GatedActivation, BadArguments) {
  DeviceTensor x(NPU_F32, {3, 10}), out(NPU_F32, {3, 4}), integers(NPU_I32, {3, 5});
  const auto expect_error = [&](npuStatus status, const std::string& text) {
    EXPECT_EQ(status, NPU_ERROR_INVALID_VALUE);
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << npuGetLastErrorString();
  };
  expect_error(gated_activation(GatedActivation::silu, out, x, stream()), "[3, 4]");
  expect_error(gated_activation(GatedActivation::silu, integers, x, stream()), "out is i32");
  expect_error(gated_activation(static_cast<GatedActivation>(9), out, x, stream()),
               "unknown activation 9");
}

}  // namespace
}  // namespace npu::kernels::testing

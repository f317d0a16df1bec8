#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>

#include "tests/backend/ops/dispatch.h"

namespace npu::backend::testing {
namespace {

using at::Tensor;

constexpr auto find_gemm =
    find_op<Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view)>;

TEST(GemmOpTest, MultipliesWithBiasAndActivation) {
  const auto gemm = find_gemm("gemm", "");
  const Tensor a = at::randn({5, 30}), b = at::randn({8, 30}).t(), bias = at::randn({8});
  const Tensor actual = gemm.call(on_device(a), on_device(b), on_device(bias), "relu");
  expect_close(actual, at::relu(at::matmul(a, b) + bias));
  const Tensor batch = at::randn({2, 4, 3}), other = at::randn({2, 3, 6});
  expect_close(gemm.call(on_device(batch), on_device(other), std::nullopt, "none"),
               at::matmul(batch, other));
}

TEST(GemmOpTest, MetaGivesTheShape) {
  const Tensor a = at::randn({5, 30}).to(at::kMeta), b = at::randn({30, 7}).to(at::kMeta);
  const Tensor result = find_gemm("gemm", "").call(a, b, std::nullopt, "gelu");
  EXPECT_EQ(result.sizes(), at::IntArrayRef({5, 7}));
  EXPECT_TRUE(result.is_meta());
}

TEST(GemmOpTest, RefusesBadArguments) {
  const auto gemm = find_gemm("gemm", "");
  const Tensor a = on_device(at::randn({5, 30}));
  EXPECT_THROW(gemm.call(a, a, std::nullopt, "none"), c10::Error);
  EXPECT_THROW(gemm.call(a, a.t(), std::nullopt, "swish"), c10::ValueError);
  EXPECT_THROW(gemm.call(a, a.cpu().t(), std::nullopt, "none"), c10::Error);
}

}  // namespace
}  // namespace npu::backend::testing

#include <ATen/ops/mean.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/square.h>

#include "tests/backend/ops/dispatch.h"

namespace npu::backend::testing {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

constexpr double kEps = 1e-5;

Tensor reference(const Tensor& x, const Tensor& weight) {
  return x * at::rsqrt(at::mean(at::square(x), {-1}, true) + kEps) * weight;
}

TEST(NormOpTest, RmsNorm) {
  const auto op = find_op<Tensor(const Tensor&, OptionalTensor, double, double)>("rms_norm");
  const Tensor x = at::randn({3, 4, 40}), weight = at::randn({40});
  expect_close(op.call(on_device(x), on_device(weight), kEps, 0), reference(x, weight));
  expect_close(op.call(on_device(x).transpose(0, 1), on_device(weight), kEps, 1),
               reference(x, weight + 1).transpose(0, 1));
  // Neither rows nor weight are contiguous.
  const Tensor wide = at::randn({80});
  expect_close(op.call(on_device(x).permute({0, 2, 1}), on_device(wide).slice(0, 0, 8, 2), kEps, 0),
               reference(x.permute({0, 2, 1}), wide.slice(0, 0, 8, 2)));
  EXPECT_THROW(op.call(on_device(x), on_device(wide), kEps, 0), c10::Error);
  EXPECT_THROW(op.call(on_device(x.to(at::kLong)), std::nullopt, kEps, 0), c10::TypeError);
  EXPECT_EQ(op.call(x.to(at::kMeta), std::nullopt, kEps, 0).sizes(), x.sizes());
}

TEST(NormOpTest, FusedAddWritesTheResidual) {
  const auto op = find_op<Tensor(const Tensor&, const Tensor&, OptionalTensor, double, double)>(
      "fused_add_rms_norm");
  const Tensor x = at::randn({6, 40}), residual = at::randn({6, 40});
  const Tensor stream = on_device(residual);
  const Tensor y = op.call(on_device(x), stream, std::nullopt, kEps, 0);
  expect_close(stream, x + residual);
  expect_close(y, reference(x + residual, at::ones({40})));
  EXPECT_THROW(op.call(on_device(x), stream.slice(0, 0, 3), std::nullopt, kEps, 0), c10::Error);
  EXPECT_THROW(op.call(on_device(x.t()), stream.t(), std::nullopt, kEps, 0), c10::Error);
}

}  // namespace
}  // namespace npu::backend::testing

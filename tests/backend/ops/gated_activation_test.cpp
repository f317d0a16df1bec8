#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

#include "tests/backend/ops/dispatch.h"

namespace npu::backend::testing {
namespace {

using at::Tensor;

TEST(GatedActivationOpTest, Silu) {
  const auto op = find_op<Tensor(const Tensor&)>("silu_and_mul");
  const Tensor x = at::randn({2, 3, 48});
  const auto halves = x.chunk(2, -1);
  expect_close(op.call(on_device(x)), at::silu(halves[0]) * halves[1]);
  EXPECT_EQ(op.call(x.to(at::kMeta)).sizes(), at::IntArrayRef({2, 3, 24}));
  EXPECT_THROW(op.call(on_device(at::randn({2, 7}))), c10::Error);
  EXPECT_THROW(op.call(on_device(x.to(at::kInt))), c10::TypeError);
}

TEST(GatedActivationOpTest, Gelu) {
  const auto op = find_op<Tensor(const Tensor&, std::string_view)>("gelu_and_mul");
  const Tensor x = at::randn({5, 48});
  const auto halves = x.chunk(2, -1);
  for (const char* approximate : {"none", "tanh"}) {
    expect_close(op.call(on_device(x), approximate), at::gelu(halves[0], approximate) * halves[1]);
  }
  EXPECT_THROW(op.call(on_device(x), "fast"), c10::ValueError);
}

}  // namespace
}  // namespace npu::backend::testing

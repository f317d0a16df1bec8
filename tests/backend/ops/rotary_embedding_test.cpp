#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include "tests/backend/ops/dispatch.h"

namespace npu::backend::testing {
namespace {

using at::Tensor;

constexpr int64_t kHeadSize = 8;

// x [T, H, kHeadSize], halves rotated.
Tensor rotate(const Tensor& x, const Tensor& positions, const Tensor& cache) {
  const auto angles = cache.index_select(0, positions).unsqueeze(1).chunk(2, -1);
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * angles[0] - halves[1] * angles[1],
                  halves[1] * angles[0] + halves[0] * angles[1]},
                 -1);
}

TEST(RotaryEmbeddingOpTest, RotatesInPlace) {
  const auto op = find_op<void(const Tensor&, const Tensor&, const std::optional<Tensor>&, int64_t,
                               const Tensor&, bool)>("rotary_embedding");
  const Tensor positions = at::tensor({4, 0, 9}, at::kLong);
  const Tensor query = at::randn({3, 4, kHeadSize}), key = at::randn({3, 2, kHeadSize});
  const Tensor cache = at::randn({10, kHeadSize});
  const Tensor q = on_device(query).view({3, -1}), k = on_device(key);
  op.call(on_device(positions), q, k, kHeadSize, on_device(cache), true);
  expect_close(q.view(query.sizes()), rotate(query, positions, cache));
  expect_close(k, rotate(key, positions, cache));
  const Tensor alone = on_device(query);
  op.call(on_device(positions), alone, std::nullopt, kHeadSize, on_device(cache), true);
  expect_close(alone, rotate(query, positions, cache));

  EXPECT_THROW(op.call(on_device(positions), q, k, 3, on_device(cache), true), c10::Error);
  EXPECT_THROW(
      op.call(on_device(positions).slice(0, 0, 2), q, k, kHeadSize, on_device(cache), true),
      c10::Error);
  EXPECT_THROW(op.call(on_device(query), q, k, kHeadSize, on_device(cache), true), c10::TypeError);
}

}  // namespace
}  // namespace npu::backend::testing

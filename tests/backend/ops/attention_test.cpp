// flash_attention, paged_attention and reshape_and_cache.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "tests/backend/ops/dispatch.h"

namespace npu::backend::testing {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

constexpr int64_t kHeads = 4;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kDim = 16;

// One sequence, causal from its end: query [Lq, H, D], key and value [Lk, Hkv, D].
Tensor reference(const Tensor& query, const Tensor& key, const Tensor& value) {
  const int64_t queries = query.size(0);
  const int64_t keys = key.size(0);
  const Tensor seen =
      at::arange(keys).unsqueeze(0) <= at::arange(queries).unsqueeze(1) + (keys - queries);
  const auto batch = [](const Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
  return at::scaled_dot_product_attention(batch(query), batch(key), batch(value), seen, 0, false,
                                          std::nullopt, true)
      .squeeze(0)
      .transpose(0, 1);
}

Tensor flash(const Tensor& query, const Tensor& key, const Tensor& value,
             const std::optional<Tensor>& starts_q, const std::optional<Tensor>& starts_k,
             OptionalTensor sinks = std::nullopt) {
  return find_op<Tensor(const Tensor&, const Tensor&, const Tensor&, OptionalTensor, OptionalTensor,
                        std::optional<int64_t>, OptionalTensor, std::optional<double>, bool,
                        int64_t, double, OptionalTensor)>("flash_attention")
      .call(query, key, value, starts_q, starts_k, std::nullopt, std::nullopt, std::nullopt, true,
            0, 0, sinks);
}

TEST(AttentionOpTest, FlashDense) {
  const Tensor query = at::randn({1, kHeads, 9, kDim}), key = at::randn({1, kKvHeads, 20, kDim});
  const Tensor value = at::randn({1, kKvHeads, 20, kDim});
  const auto tokens = [](const Tensor& x) { return x.squeeze(0).transpose(0, 1); };
  const Tensor expected = reference(tokens(query), tokens(key), tokens(value));
  const Tensor actual =
      flash(on_device(query), on_device(key), on_device(value), std::nullopt, std::nullopt);
  expect_close(tokens(actual), expected);
  EXPECT_EQ(
      flash(query.to(at::kMeta), key.to(at::kMeta), value.to(at::kMeta), std::nullopt, std::nullopt)
          .sizes(),
      query.sizes());
  EXPECT_THROW(flash(on_device(query), on_device(key), on_device(value), std::nullopt, std::nullopt,
                     on_device(at::zeros({kHeads + 1}))),
               c10::Error);
}

TEST(AttentionOpTest, FlashPacked) {
  const Tensor query = at::randn({7, kHeads, kDim});
  const Tensor key = at::randn({30, kKvHeads, kDim}), value = at::randn({30, kKvHeads, kDim});
  const Tensor starts_q = on_device(at::tensor({0, 5, 7}, at::kInt));
  const Tensor starts_k = on_device(at::tensor({0, 12, 30}, at::kInt));
  const auto part = [](const Tensor& x, int64_t begin, int64_t end) {
    return x.slice(0, begin, end);
  };
  const Tensor expected =
      at::cat({reference(part(query, 0, 5), part(key, 0, 12), part(value, 0, 12)),
               reference(part(query, 5, 7), part(key, 12, 30), part(value, 12, 30))});
  expect_close(flash(on_device(query), on_device(key), on_device(value), starts_q, starts_k),
               expected);
  EXPECT_THROW(flash(on_device(query), on_device(key), on_device(value), starts_q, std::nullopt),
               c10::Error);
}

// The cache is written by one op and read by the other.
TEST(AttentionOpTest, PagedReadsWhatReshapeAndCacheWrote) {
  const auto write =
      find_op<void(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                   OptionalTensor, OptionalTensor)>("reshape_and_cache");
  using Options = std::optional<double>;
  const auto read =
      find_op<Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&, int64_t, Options, bool, int64_t, double, OptionalTensor,
                     OptionalTensor, OptionalTensor)>("paged_attention");
  const auto read_out =
      find_op<Tensor&(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                      const Tensor&, int64_t, Options, bool, int64_t, double, OptionalTensor,
                      OptionalTensor, OptionalTensor, Tensor&)>("paged_attention", "out");

  // Two sequences of 6 and 3 keys in blocks of 4; the last token is padding.
  const Tensor key = at::randn({10, kKvHeads, kDim}), value = at::randn({10, kKvHeads, kDim});
  const Tensor slots = at::tensor({8, 9, 10, 11, 0, 1, 16, 17, 18, -1}, at::kLong);
  const Tensor table = on_device(at::tensor({2, 0, 4, 99}, at::kInt).view({2, 2}));
  const Tensor starts = on_device(at::tensor({0, 4, 5}, at::kInt));
  const Tensor lengths = on_device(at::tensor({6, 3}, at::kInt));
  const Tensor caches = on_device(at::zeros({5, 2, 4, kKvHeads, kDim}));
  const Tensor key_cache = caches.select(1, 0), value_cache = caches.select(1, 1);
  write.call(on_device(key), on_device(value), key_cache, value_cache, on_device(slots),
             std::nullopt, std::nullopt);
  EXPECT_EQ(key_cache.cpu().select(0, 4).select(0, 3).abs().max().item<float>(), 0);

  const Tensor query = at::randn({5, kHeads, kDim});
  const Tensor expected =
      at::cat({reference(query.slice(0, 0, 4), key.slice(0, 0, 6), value.slice(0, 0, 6)),
               reference(query.slice(0, 4, 5), key.slice(0, 6, 9), value.slice(0, 6, 9))});
  const Tensor q = on_device(query);
  expect_close(read.call(q, key_cache, value_cache, table, starts, lengths, 4, std::nullopt, true,
                         0, 0, std::nullopt, std::nullopt, std::nullopt),
               expected);
  Tensor out = on_device(at::zeros({5, kHeads, kDim}));
  read_out.call(q, key_cache, value_cache, table, starts, lengths, 4, std::nullopt, true, 0, 0,
                std::nullopt, std::nullopt, std::nullopt, out);
  expect_close(out, expected);

  EXPECT_THROW(read.call(q, key_cache, value_cache, table, starts, lengths, 0, std::nullopt, true,
                         0, 0, std::nullopt, std::nullopt, std::nullopt),
               c10::ValueError);
  EXPECT_THROW(write.call(on_device(key), on_device(value), key_cache, value_cache,
                          on_device(slots), on_device(at::zeros({1})), std::nullopt),
               c10::NotImplementedError);
}

}  // namespace
}  // namespace npu::backend::testing

#include <gtest/gtest.h>

#include <string>

#include "npu/kernels/attention.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels::testing {
namespace {

constexpr double kUntouched = -7;

struct CacheCase {
  int64_t tokens = 0, heads = 2, dim = 8, value_dim = 8, blocks = 5, block_size = 4;
  npuDataType type = NPU_BF16, cache_type = NPU_BF16, index = NPU_I64;
  std::vector<int> layout = {};         // of the caches
  std::vector<int> source_layout = {};  // of key and value
  std::vector<double> slots;

  void check() {
    tokens = static_cast<int64_t>(slots.size());
    DeviceTensor key(type, {tokens, heads, dim}, source_layout);
    DeviceTensor value(type, {tokens, heads, value_dim}, source_layout);
    DeviceTensor k_cache(cache_type, {blocks, block_size, heads, dim}, layout);
    DeviceTensor v_cache(cache_type, {blocks, block_size, heads, value_dim}, layout);
    DeviceTensor slot_mapping(index, {tokens});
    const auto keys = random_values(type, key.numel(), -4, 4, 1);
    const auto values = random_values(type, value.numel(), -4, 4, 2);
    key.set(keys);
    value.set(values);
    slot_mapping.set(slots);
    std::vector<double> expected_k(static_cast<size_t>(k_cache.numel()), kUntouched);
    std::vector<double> expected_v(static_cast<size_t>(v_cache.numel()), kUntouched);
    k_cache.set(expected_k);
    v_cache.set(expected_v);
    put_rows(expected_k, keys, heads * dim);
    put_rows(expected_v, values, heads * value_dim);
    NPU_ASSERT_OK(reshape_and_cache(k_cache, v_cache, key, value, slot_mapping, stream()));
    EXPECT_EQ(k_cache.get_all(), expected_k);
    EXPECT_EQ(v_cache.get_all(), expected_v);
  }

 private:
  void put_rows(std::vector<double>& cache, const std::vector<double>& rows, int64_t width) const {
    for (size_t t = 0; t < slots.size(); ++t) {
      if (slots[t] < 0) continue;
      for (int64_t i = 0; i < width; ++i) {
        cache[static_cast<size_t>(static_cast<int64_t>(slots[t]) * width + i)] =
            rounded(cache_type, rows[t * static_cast<size_t>(width) + static_cast<size_t>(i)]);
      }
    }
  }
};

std::vector<double> scattered(int64_t tokens, int64_t slots) {
  std::vector<double> list;
  for (int64_t t = 0; t < tokens; ++t) {
    list.push_back(t % 4 == 3 ? -1 - t % 3 : static_cast<double>(t * 7 % slots));
  }
  return list;
}

TEST(ReshapeAndCache, SlotsInNoOrderAndSkipped) {
  CacheCase c;
  c.slots = {19, 0, -1, 7, 8, -2, 3};
  c.check();
  c.index = NPU_I32;
  c.type = c.cache_type = NPU_F32;
  c.check();
}

TEST(ReshapeAndCache, ConvertsToTheCachesType) {
  CacheCase c;
  c.slots = {1, 18, 4};
  c.type = NPU_F32;
  c.check();
  c.type = NPU_BF16;
  c.cache_type = NPU_F32;
  c.check();
}

TEST(ReshapeAndCache, HeadsOutsideSlots) {
  CacheCase c;
  c.slots = {19, -1, 2, -3, 7};
  c.layout = {0, 2, 1, 3};
  c.source_layout = {1, 0, 2};
  c.check();
  c.layout = {1, 0, 2, 3};  // slots outside blocks
  c.check();
}

TEST(ReshapeAndCache, ManyTokensAndWideHeads) {
  CacheCase c;
  c.blocks = 300;
  c.block_size = 1;
  c.heads = 3;
  c.dim = 40;
  c.value_dim = 24;
  c.slots = scattered(290, 300);  // 7 and 300 have no common divisor: no slot comes twice
  c.check();
  c.blocks = 20;
  c.block_size = 16;
  c.heads = 16;
  c.dim = c.value_dim = 512;
  c.type = NPU_F32;
  c.slots = scattered(9, 320);
  c.check();
}

TEST(ReshapeAndCache, BadArguments) {
  DeviceTensor key(NPU_F32, {3, 2, 8}), cache(NPU_F32, {4, 16, 2, 8}), slots(NPU_I64, {3}),
      four(NPU_I64, {4}), wrong(NPU_F32, {4, 16, 2, 9}), integers(NPU_I8, {4, 16, 2, 8});
  const auto expect_error = [&](npuStatus status, const std::string& text) {
    EXPECT_EQ(status, NPU_ERROR_INVALID_VALUE);
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << npuGetLastErrorString();
  };
  expect_error(reshape_and_cache(cache, cache, key, key, four, stream()), "[3, 2, 8] with 4 slots");
  expect_error(reshape_and_cache(cache, wrong, key, key, slots, stream()), "[4, 16, 2, 9]");
  expect_error(reshape_and_cache(cache, integers, key, key, slots, stream()),
               "value is f32, its cache i8");
  expect_error(reshape_and_cache(cache, cache, key, key, key, stream()), "rank 3 and type f32");
}

}  // namespace
}  // namespace npu::kernels::testing

#include <gtest/gtest.h>

#include <string>

#include "npu/kernels/attention.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels::testing {
namespace {

struct RotaryCase {
  int64_t tokens = 1, heads = 4, kv_heads = 2, dim = 16, rotary_dim = 16, positions = 50;
  npuDataType type = NPU_F32, cache_type = NPU_F32, index = NPU_I64;
  bool neox = true;
  bool with_k = true;
  std::vector<int> layout = {};

  void check() const {
    const auto angles = random_values(cache_type, positions * rotary_dim, -1, 1, 3);
    std::vector<double> at;
    for (int64_t t = 0; t < tokens; ++t) at.push_back(static_cast<double>(t * 17 % positions));
    DeviceTensor cache(cache_type, {positions, rotary_dim}), where(index, {tokens});
    cache.set(angles);
    where.set(at);
    DeviceTensor q(type, {tokens, heads, dim}, layout), k(type, {tokens, kv_heads, dim}, layout);
    auto q_values = random_values(type, q.numel(), -2, 2, 1);
    auto k_values = random_values(type, k.numel(), -2, 2, 2);
    q.set(q_values);
    k.set(k_values);
    NPU_ASSERT_OK(rotary_embedding(q, with_k ? k.view() : Tensor(), where, cache, neox, stream()));
    rotate(q_values, heads, at, angles);
    if (with_k) rotate(k_values, kv_heads, at, angles);
    expect_close(q.get_all(), q_values, tolerance(type));
    expect_close(k.get_all(), k_values, tolerance(type));
  }

 private:
  void rotate(std::vector<double>& x, int64_t head_count, const std::vector<double>& at,
              const std::vector<double>& angles) const {
    const int64_t half = rotary_dim / 2;
    for (int64_t row = 0; row < tokens * head_count; ++row) {
      const auto* angle =
          angles.data() +
          static_cast<int64_t>(at[static_cast<size_t>(row / head_count)]) * rotary_dim;
      for (int64_t i = 0; i < half; ++i) {
        double& a = x[static_cast<size_t>(row * dim + (neox ? i : 2 * i))];
        double& b = x[static_cast<size_t>(row * dim + (neox ? i + half : 2 * i + 1))];
        const double rotated = a * angle[i] - b * angle[half + i];
        b = b * angle[i] + a * angle[half + i];
        a = rotated;
      }
    }
  }
};

TEST(RotaryEmbedding, BothFormsAndTypes) {
  for (const bool neox : {true, false}) {
    for (const npuDataType type : {NPU_F32, NPU_BF16, NPU_F16, NPU_F64}) {
      for (const int64_t tokens : {1, 3, 40}) {
        SCOPED_TRACE(tokens);
        RotaryCase c;
        c.neox = neox;
        c.type = type;
        c.tokens = tokens;
        c.check();
      }
    }
  }
}

TEST(RotaryEmbedding, PartOfTheHeadAndOtherStrides) {
  for (const bool neox : {true, false}) {
    for (const int64_t tokens : {2, 33}) {
      RotaryCase c;
      c.neox = neox;
      c.tokens = tokens;
      c.rotary_dim = 10;
      c.layout = {1, 0, 2};
      c.index = NPU_I32;
      c.type = NPU_BF16;
      c.check();
    }
  }
}

TEST(RotaryEmbedding, CacheOfAnotherTypeAndNoKeys) {
  RotaryCase c;
  c.tokens = 5;
  c.cache_type = NPU_BF16;
  c.check();
  c.with_k = false;
  c.check();
}

TEST(RotaryEmbedding, ManyTokensAndManyHeads) {
  RotaryCase c;
  c.tokens = 700;
  c.heads = 7;
  c.kv_heads = 1;
  c.dim = c.rotary_dim = 64;
  c.check();
  c.tokens = 2;
  c.heads = 300;
  c.kv_heads = 30;
  c.check();
}

TEST(RotaryEmbedding, BadArguments) {
  DeviceTensor q(NPU_F32, {3, 2, 8}), k(NPU_F32, {3, 1, 8}), positions(NPU_I64, {3}),
      four(NPU_I64, {4}), cache(NPU_F32, {9, 8}), odd(NPU_F32, {9, 7}), wide(NPU_F32, {9, 10}),
      bf16(NPU_BF16, {3, 1, 8});
  const auto expect_error = [&](npuStatus status, const std::string& text) {
    EXPECT_EQ(status, NPU_ERROR_INVALID_VALUE);
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << npuGetLastErrorString();
  };
  expect_error(rotary_embedding(q, k, four, cache, true, stream()), "4 positions");
  expect_error(rotary_embedding(q, k, positions, odd, true, stream()), "7 columns");
  expect_error(rotary_embedding(q, k, positions, wide, true, stream()), "10 rotated dimensions");
  expect_error(rotary_embedding(q, bf16, positions, cache, true, stream()), "k is bf16, q f32");
}

}  // namespace
}  // namespace npu::kernels::testing

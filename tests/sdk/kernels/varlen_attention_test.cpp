#include <gtest/gtest.h>

#include <string>

#include "tests/sdk/kernels/packed_attention.h"

namespace npu::kernels::testing {
namespace {

void check(PackedBatch& batch, npuDataType type, npuDataType index = NPU_I32,
           const std::vector<int>& layout = {}) {
  batch.solve(type);
  const auto sequences = static_cast<int64_t>(batch.lengths.size());
  DeviceTensor q(type, {batch.queries, batch.heads, batch.dim}, layout);
  DeviceTensor k(type, {batch.keys, batch.kv_heads, batch.dim}, layout);
  DeviceTensor v(type, {batch.keys, batch.kv_heads, batch.value_dim}, layout);
  DeviceTensor out(type, {batch.queries, batch.heads, batch.value_dim}, layout);
  DeviceTensor query_starts(index, {sequences + 1}), key_starts(index, {sequences + 1});
  DeviceTensor sinks(NPU_F32, {batch.heads});
  q.set(batch.packed_q());
  k.set(batch.packed_k());
  v.set(batch.packed_v());
  query_starts.set(batch.query_starts);
  key_starts.set(batch.key_starts);
  AttentionOptions options = batch.options;
  if (!batch.sinks.empty()) {
    sinks.set(batch.sinks);
    options.sinks = sinks;
  }
  NPU_ASSERT_OK(npuResetCounters(0));
  NPU_ASSERT_OK(varlen_attention(out, q, k, v, query_starts, key_starts, batch.longest_query,
                                 options, stream()));
  npuCounters counters;
  NPU_ASSERT_OK(npuGetCounters(0, &counters));
  expect_close(out.get_all(), batch.packed_out(), attention_tolerance(type));
  EXPECT_EQ(counters.macs, static_cast<uint64_t>(batch.visible * (batch.dim + batch.value_dim)));
}

TEST(VarlenAttention, MixedLengths) {
  for (const npuDataType type : {NPU_F32, NPU_BF16}) {
    PackedBatch batch;
    batch.lengths = {{5, 5}, {1, 40}, {0, 3}, {70, 70}, {33, 100}, {1, 1}};
    check(batch, type);
  }
}

TEST(VarlenAttention, NotCausalWithWideIndicesAndOtherStrides) {
  PackedBatch batch;
  batch.lengths = {{9, 30}, {20, 7}, {3, 0}};
  batch.options.causal = false;
  check(batch, NPU_F32, NPU_I64, {1, 0, 2});
}

TEST(VarlenAttention, WindowCapAndSinks) {
  PackedBatch batch;
  batch.lengths = {{40, 60}, {1, 35}, {17, 17}};
  batch.heads = 6;
  batch.kv_heads = 1;
  batch.options.window = 11;
  batch.options.soft_cap = 3;
  batch.sinks = {0, 1, -1, 2, 0.5, 3};
  check(batch, NPU_F32);
}

TEST(VarlenAttention, BadArguments) {
  DeviceTensor q(NPU_F32, {6, 4, 8}), k(NPU_F32, {9, 2, 8}), out(NPU_F32, {6, 4, 8}),
      starts(NPU_I32, {3}), more(NPU_I32, {4}), real(NPU_F32, {3});
  const auto expect_error = [&](npuStatus status, const std::string& text) {
    EXPECT_EQ(status, NPU_ERROR_INVALID_VALUE);
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << npuGetLastErrorString();
  };
  expect_error(varlen_attention(out, q, k, k, starts, more, 6, {}, stream()), "cu_seqlens_k 4");
  expect_error(varlen_attention(out, q, k, k, real, starts, 6, {}, stream()), "type f32");
  expect_error(varlen_attention(out, q, k, k, starts, starts, 7, {}, stream()),
               "max_query_len 7 with 6 tokens");
  expect_error(varlen_attention(out, q, k, q, starts, starts, 6, {}, stream()), "6 tokens");
}

}  // namespace
}  // namespace npu::kernels::testing

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/sdk/kernels/attention_reference.h"
#include "tests/sdk/kernels/estimator.h"

namespace npu::kernels::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// [B, H, L, D] as most models have it in memory: heads inside tokens.
const std::vector<int> kTokensOutside = {0, 2, 1, 3};

struct Trial {
  npuDataType type = NPU_F32;
  npuDataType out_type = NPU_F32;
  std::vector<int> layout = {};
  npuDataType sink_type = NPU_F32;
  bool logsumexp = true;

  explicit Trial(npuDataType type) : type(type), out_type(type) {}

  // Runs the case on the device with `mask` (a view of rank 4, or undefined) and compares.
  void check(AttentionCase& c, const Tensor& mask = {}) const {
    c.fill(type);
    c.solve();
    DeviceTensor q(type, {c.batch, c.heads, c.queries, c.dim}, layout);
    DeviceTensor k(type, {c.batch, c.kv_heads, c.keys, c.dim}, layout);
    DeviceTensor v(type, {c.batch, c.kv_heads, c.keys, c.value_dim}, layout);
    DeviceTensor out(out_type, {c.batch, c.heads, c.queries, c.value_dim}, layout);
    DeviceTensor lse(NPU_F32, {c.batch, c.heads, c.queries});
    DeviceTensor sinks(sink_type, {c.heads});
    q.set(c.q);
    k.set(c.k);
    v.set(c.v);
    AttentionOptions options = c.options;
    if (!c.sinks.empty()) {
      sinks.set(c.sinks);
      options.sinks = sinks;
    }
    NPU_ASSERT_OK(npuResetCounters(0));
    NPU_ASSERT_OK(
        attention(out, logsumexp ? lse.view() : Tensor(), q, k, v, mask, options, stream()));
    npuCounters counters;
    NPU_ASSERT_OK(npuGetCounters(0, &counters));
    const double epsilon = std::max(attention_tolerance(type), attention_tolerance(out_type));
    expect_close(out.get_all(), c.out, epsilon);
    if (logsumexp) expect_close(lse.get_all(), c.logsumexp, std::max(epsilon, 4e-6));
    EXPECT_EQ(counters.macs, static_cast<uint64_t>(c.visible * (c.dim + c.value_dim)));
    EXPECT_GE(counters.dma_read_bytes, q.numel() * element_size(type));
    EXPECT_EQ(counters.dma_write_bytes,
              out.numel() * element_size(out_type) + (logsumexp ? lse.numel() * 4 : 0));
  }
};

AttentionCase shaped(int64_t batch, int64_t heads, int64_t kv_heads, int64_t queries, int64_t keys,
                     int64_t dim, int64_t value_dim = 0) {
  AttentionCase c;
  c.batch = batch;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.queries = queries;
  c.keys = keys;
  c.dim = dim;
  c.value_dim = value_dim > 0 ? value_dim : dim;
  c.options.scale = 1 / std::sqrt(static_cast<double>(dim));
  return c;
}

TEST(FlashAttention, ShapesAndTypes) {
  for (const npuDataType type : {NPU_F32, NPU_BF16, NPU_F16, NPU_F64}) {
    SCOPED_TRACE(static_cast<int>(type));
    for (AttentionCase c :
         {shaped(2, 3, 3, 5, 7, 16), shaped(1, 2, 1, 33, 65, 24, 40), shaped(1, 1, 1, 1, 1, 1),
          shaped(2, 4, 2, 1, 300, 64), shaped(1, 6, 2, 70, 70, 48)}) {
      Trial(type).check(c);
    }
  }
}

TEST(FlashAttention, LongRowsOverManyKeyTiles) {
  AttentionCase c = shaped(1, 2, 1, 300, 700, 32);
  Trial(NPU_F32).check(c);
  c.options.causal = true;
  Trial(NPU_F32).check(c);
  Trial(NPU_BF16).check(c);
}

TEST(FlashAttention, CausalWithUnequalLengths) {
  for (const auto& [queries, keys] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 40}, {64, 64}, {65, 65}, {17, 100}, {100, 17}, {1, 513}, {130, 131}}) {
    SCOPED_TRACE(std::to_string(queries) + " x " + std::to_string(keys));
    AttentionCase c = shaped(1, 4, 2, queries, keys, 16);
    c.options.causal = true;
    Trial(NPU_F32).check(c);
    c.options.window = 9;
    Trial(NPU_F32).check(c);
  }
}

TEST(FlashAttention, Windows) {
  for (const int64_t window : {1, 2, 31, 64, 1000}) {
    SCOPED_TRACE(window);
    AttentionCase c = shaped(1, 2, 2, 90, 140, 16);
    c.options.window = window;
    Trial(NPU_F32).check(c);
    c.options.causal = true;
    Trial(NPU_F32).check(c);
    Trial(NPU_BF16).check(c);
  }
}

TEST(FlashAttention, CausalWorkIsCountedPairByPair) {
  AttentionCase c = shaped(2, 3, 1, 77, 201, 64);
  c.options.causal = true;
  Trial(NPU_BF16).check(c);
  c.options.window = 50;
  Trial(NPU_BF16).check(c);
}

TEST(FlashAttention, SoftCapSinksAndScales) {
  for (const double scale : {0.25, 0.0, -0.5}) {
    for (const double cap : {0.0, 2.0}) {
      for (const bool sinks : {false, true}) {
        SCOPED_TRACE(std::to_string(scale) + " " + std::to_string(cap));
        AttentionCase c = shaped(1, 4, 2, 20, 37, 16);
        c.options.scale = scale;
        c.options.soft_cap = cap;
        c.options.causal = sinks;
        if (sinks) c.sinks = random_values(NPU_BF16, 4, -2, 4);
        Trial run(NPU_F32);
        run.sink_type = NPU_BF16;
        run.check(c);
      }
    }
  }
}

TEST(FlashAttention, SinksTakePartInRowsThatSeeNothing) {
  AttentionCase c = shaped(1, 2, 2, 9, 4, 8);
  c.options.causal = true;
  c.sinks = {0.5, -1};
  Trial(NPU_F32).check(c);
}

TEST(FlashAttention, OtherOutputTypeAndLayouts) {
  AttentionCase c = shaped(2, 4, 2, 40, 50, 32);
  Trial run(NPU_BF16);
  run.out_type = NPU_F32;
  run.layout = kTokensOutside;
  run.logsumexp = false;
  run.check(c);
}

// Masks whose sizes are those of a broadcast: 1 or full in each dimension.
TEST(FlashAttention, Masks) {
  const AttentionCase shape = shaped(2, 4, 2, 21, 45, 16);
  const std::vector<std::vector<int64_t>> forms = {{2, 4, 21, 45}, {2, 1, 21, 45}, {1, 1, 1, 45},
                                                   {2, 1, 1, 45},  {1, 1, 21, 1},  {1, 4, 1, 1}};
  for (const npuDataType type : {NPU_BOOL, NPU_F32, NPU_BF16}) {
    for (const auto& sizes : forms) {
      SCOPED_TRACE(std::to_string(type) + " " + std::to_string(sizes[1]) +
                   std::to_string(sizes[2]) + std::to_string(sizes[3]));
      DeviceTensor mask(type, sizes);
      std::vector<double> values = random_values(type, mask.numel(), -3, 3, 7);
      for (size_t i = 0; i < values.size(); ++i) {
        if (type == NPU_BOOL) {
          values[i] = i % 3 != 1;
        } else if (i % 5 == 2) {
          values[i] = -kInfinity;
        }
      }
      mask.set(values);
      AttentionCase c = shape;
      Tensor view = mask;
      for (int d = 0; d < 4; ++d) {
        if (sizes[static_cast<size_t>(d)] == 1) view.strides[d] = 0;
      }
      view.sizes = {c.batch, c.heads, c.queries, c.keys};
      for (int64_t i = 0; i < c.batch * c.heads * c.queries * c.keys; ++i) {
        const int64_t at[] = {i / (4 * 21 * 45), i / (21 * 45) % 4, i / 45 % 21, i % 45};
        int64_t offset = 0;
        for (int d = 0; d < 4; ++d) offset += at[d] * view.strides[d];
        const double value = values[static_cast<size_t>(offset)];
        c.mask.push_back(type != NPU_BOOL ? value : value != 0 ? 0 : -kInfinity);
      }
      Trial run(NPU_F32);
      run.check(c, view);
    }
  }
}

// A row of the lowest finite numbers is an even average, as a softmax over the whole row has it.
TEST(FlashAttention, LowestFiniteMaskIsNotInfinite) {
  AttentionCase c = shaped(1, 1, 1, 3, 40, 8);
  const double low = std::numeric_limits<float>::lowest();
  DeviceTensor mask(NPU_F32, {1, 1, 3, 40});
  c.mask.assign(3 * 40, 0);
  for (int j = 0; j < 40; ++j) c.mask[static_cast<size_t>(j)] = low;
  for (int j = 0; j < 35; ++j) c.mask[static_cast<size_t>(40 + j)] = low;
  mask.set(c.mask);
  c.fill(NPU_F32);
  c.solve();
  // In f32 the scores vanish beside such a number; in the reference's doubles they do not.
  for (int64_t d = 0; d < 8; ++d) {
    double sum = 0;
    for (int64_t j = 0; j < 40; ++j) sum += c.v[j * 8 + d];
    c.out[d] = sum / 40;
  }
  DeviceTensor q(NPU_F32, {1, 1, 3, 8}), k(NPU_F32, {1, 1, 40, 8}), v(NPU_F32, {1, 1, 40, 8}),
      out(NPU_F32, {1, 1, 3, 8});
  q.set(c.q);
  k.set(c.k);
  v.set(c.v);
  NPU_ASSERT_OK(attention(out, {}, q, k, v, mask, c.options, stream()));
  expect_close(out.get_all(), c.out, 4e-6);
}

TEST(FlashAttention, NoKeysGiveZero) {
  AttentionCase c = shaped(1, 2, 1, 3, 0, 8);
  Trial(NPU_F32).check(c);
}

TEST(FlashAttention, WideHeads) {
  AttentionCase c = shaped(1, 2, 1, 20, 50, 512);
  Trial(NPU_F32).check(c);
  AttentionCase many = shaped(1, 40, 1, 3, 20, 16);
  Trial(NPU_F32).check(many);
}

// Tiny scratchpads and wide heads leave few sizes, or none but what fit() makes.
TEST(FlashAttention, EveryShapeGetsBlocksThatFit) {
  for (const char* machine : {"n1", "n1-edge", "tpu-v6e"}) {
    Estimator estimator(machine);
    for (const auto& [type, element] : {std::pair{NPU_BF16, 2}, std::pair{NPU_F32, 4}}) {
      for (const int64_t dim : {16, 64, 128, 256, 512}) {
        for (const int64_t kv_heads : {1, 2, 8}) {
          for (const int64_t tokens : {1, 2, 4, 12, 40, 200}) {
            const Tensor q = estimator.tensor(type, element, {1, 8, tokens, dim});
            const Tensor out = estimator.tensor(type, element, {1, 8, tokens, dim});
            const Tensor k = estimator.tensor(type, element, {1, kv_heads, tokens, dim});
            AttentionOptions options;
            options.causal = true;
            NPU_EXPECT_OK(attention(out, {}, q, k, k, {}, options, estimator.stream()));
          }
        }
      }
    }
  }
}

TEST(FlashAttention, BadArguments) {
  DeviceTensor q(NPU_F32, {1, 4, 3, 8}), k(NPU_F32, {1, 2, 5, 8}), out(NPU_F32, {1, 4, 3, 8});
  const AttentionOptions options;
  const auto expect_error = [&](npuStatus status, const std::string& text) {
    EXPECT_EQ(status, NPU_ERROR_INVALID_VALUE);
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << npuGetLastErrorString();
  };
  DeviceTensor three(NPU_F32, {1, 3, 5, 8}), bf16(NPU_BF16, {1, 2, 5, 8}),
      long_heads(NPU_F32, {1, 2, 5, 9}), integers(NPU_I32, {1, 4, 3, 8}),
      mask(NPU_F32, {1, 4, 3, 6}), sinks(NPU_F32, {3});
  expect_error(attention(out, {}, q, three, three, {}, options, stream()),
               "4 query heads are no multiple of 3");
  expect_error(attention(out, {}, q, bf16, bf16, {}, options, stream()), "q is f32, k is bf16");
  expect_error(attention(out, {}, q, long_heads, k, {}, options, stream()),
               "k has sizes [1, 2, 5, 9], expected are [1, 2, 5, 8]");
  expect_error(attention(out, {}, integers, k, k, {}, options, stream()), "q is i32");
  expect_error(attention(out, {}, q, k, k, mask, options, stream()), "[1, 4, 3, 6]");
  expect_error(attention(q, {}, out, k, long_heads, {}, options, stream()), "[1, 4, 3, 9]");
  AttentionOptions with_sinks;
  with_sinks.sinks = sinks;
  expect_error(attention(out, {}, q, k, k, {}, with_sinks, stream()), "3 elements");
  AttentionOptions bad_cap;
  bad_cap.soft_cap = -1;
  expect_error(attention(out, {}, q, k, k, {}, bad_cap, stream()), "soft cap -1");
  Tensor strided = q;
  strided.strides[3] = 2;
  strided.sizes[3] = 4;
  DeviceTensor narrow(NPU_F32, {1, 2, 5, 4}), narrow_out(NPU_F32, {1, 4, 3, 4});
  expect_error(attention(narrow_out, {}, strided, narrow, narrow, {}, options, stream()),
               "last stride 2");
}

}  // namespace
}  // namespace npu::kernels::testing

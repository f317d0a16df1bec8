// What the library reaches of the machine's peaks: a regression fails here.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "npu/kernels/attention.h"
#include "npu/kernels/elementwise.h"
#include "npu/kernels/reduce.h"
#include "tests/sdk/kernels/device_tensor.h"
#include "tests/sdk/kernels/estimator.h"

namespace npu::kernels::testing {
namespace {

// Time and memory of all launches since the last call.
class Figures {
 public:
  explicit Figures(const char* machine) : estimator_(machine) {
    EXPECT_EQ(npuGetDeviceProperties(estimator_.device(), &properties_), NPU_SUCCESS);
  }

  Tensor bf16(std::initializer_list<int64_t> sizes) {
    return estimator_.tensor(NPU_BF16, 2, sizes);
  }
  Tensor f32(std::initializer_list<int64_t> sizes) { return estimator_.tensor(NPU_F32, 4, sizes); }
  Tensor integers(const std::vector<int32_t>& values) { return estimator_.integers(values); }
  npuStream stream() const { return estimator_.stream(); }

  double nanoseconds() {
    double sum = 0;
    for (const npuActivity& activity : take()) sum += activity.duration_ns;
    return sum;
  }
  double matrix_utilization() {
    const auto activities = take();
    EXPECT_EQ(activities.size(), 1U);
    return activities.empty() ? 0 : activities[0].matrix_utilization;
  }
  // Of what a long sequential read reaches, were nothing moved but `bytes`.
  double streaming(double bytes) {
    return bytes / nanoseconds() /
           (properties_.hbm_bandwidth_gbps * properties_.hbm_stream_efficiency);
  }

 private:
  std::vector<npuActivity> take() {
    EXPECT_EQ(npuStreamSynchronize(stream()), NPU_SUCCESS);
    std::vector<npuActivity> result;
    for (const npuActivity& activity : std::span(estimator_.activities()).subspan(taken_)) {
      if (activity.counters.launches > 0) result.push_back(activity);
    }
    taken_ = estimator_.activities().size();
    return result;
  }

  Estimator estimator_;
  npuDeviceProperties properties_ = {};
  size_t taken_ = 0;
};

double attention_figure(Figures& figures, int64_t heads, int64_t kv_heads, int64_t tokens) {
  const Tensor q = figures.bf16({1, heads, tokens, 128});
  const Tensor out = figures.bf16({1, heads, tokens, 128});
  const Tensor k = figures.bf16({1, kv_heads, tokens, 128});
  const Tensor v = figures.bf16({1, kv_heads, tokens, 128});
  const AttentionOptions options = {.scale = 0.088, .causal = true, .sinks = {}};
  NPU_EXPECT_OK(attention(out, {}, q, k, v, {}, options, figures.stream()));
  return figures.matrix_utilization();
}

TEST(Figures, CausalAttention) {
  Figures n1("n1");
  EXPECT_GE(attention_figure(n1, 32, 32, 4096), 0.78);
  EXPECT_GE(attention_figure(n1, 32, 8, 4096), 0.80);
  Figures edge("n1-edge");
  EXPECT_GE(attention_figure(edge, 4, 4, 512), 0.25);
}

// One token of each sequence against blocks of 16 in no order; `width` blocks in a row of the
// table.
double decode_figure(Figures& figures, const std::vector<int32_t>& contexts, int64_t width = 0) {
  constexpr int64_t kHeads = 32, kKvHeads = 8, kDim = 128, kBlock = 16;
  const auto sequences = static_cast<int64_t>(contexts.size());
  const auto blocks_of = [](int32_t context) { return (context + kBlock - 1) / kBlock; };
  int64_t blocks = 0;
  double bytes = 0;
  for (const int32_t context : contexts) {
    blocks += blocks_of(context);
    width = std::max(width, blocks_of(context));
    bytes += 2.0 * context * kKvHeads * kDim * 2;
  }
  std::vector<int32_t> order(static_cast<size_t>(blocks));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  std::vector<int32_t> table(static_cast<size_t>(sequences * width), 0);
  std::vector<int32_t> starts = {0};
  auto next = order.begin();
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t used = blocks_of(contexts[static_cast<size_t>(s)]);
    std::copy_n(next, used, table.begin() + s * width);
    next += used;
    starts.push_back(static_cast<int32_t>(s + 1));
  }
  Tensor tables = figures.integers(table);
  tables.rank = 2;
  tables.sizes = {sequences, width};
  tables.strides = {width, 1};
  const Tensor keys = figures.bf16({blocks, kBlock, kKvHeads, kDim});
  const Tensor values = figures.bf16({blocks, kBlock, kKvHeads, kDim});
  const Tensor q = figures.bf16({sequences, kHeads, kDim});
  const Tensor out = figures.bf16({sequences, kHeads, kDim});
  const Tensor query_starts = figures.integers(starts);
  const Tensor lengths = figures.integers(contexts);
  const AttentionOptions options = {.scale = 0.088, .causal = true, .sinks = {}};
  figures.nanoseconds();
  NPU_EXPECT_OK(paged_attention(out, q, keys, values, tables, query_starts, lengths, 1, options,
                                figures.stream()));
  return figures.streaming(bytes);
}

TEST(Figures, PagedDecode) {
  Figures n1("n1");
  EXPECT_GE(decode_figure(n1, std::vector<int32_t>(64, 2048)), 0.90);
  std::vector<int32_t> ragged(64);
  std::mt19937 random(3);
  for (int32_t& context : ragged) context = 100 + static_cast<int32_t>(random() % 3900);
  EXPECT_GE(decode_figure(n1, ragged), 0.72);
}

// Few sequences: their keys are split, so that all cores take part.
TEST(Figures, LongContextDecode) {
  Figures n1("n1");
  EXPECT_GE(decode_figure(n1, {131072}), 0.88);
  EXPECT_GE(decode_figure(n1, {32768}), 0.82);
  EXPECT_GE(decode_figure(n1, std::vector<int32_t>(8, 32768)), 0.88);
  EXPECT_GE(decode_figure(n1, {32768, 100, 200, 64}), 0.70);
}

TEST(Figures, StreamingKernels) {
  constexpr int64_t kRows = 16384, kCols = 4096;
  constexpr double kMatrix = 2.0 * kRows * kCols;
  Figures n1("n1");
  const Tensor x = n1.bf16({kRows, kCols}), y = n1.bf16({kRows, kCols});
  const Tensor residual = n1.bf16({kRows, kCols}), pair = n1.bf16({kRows, 2 * kCols});
  const Tensor weight = n1.bf16({kCols});
  NPU_EXPECT_OK(rms_norm(y, x, weight, 1e-5, 0, n1.stream()));
  EXPECT_GE(n1.streaming(2 * kMatrix), 0.95);
  NPU_EXPECT_OK(fused_add_rms_norm(y, residual, x, weight, 1e-5, 0, n1.stream()));
  EXPECT_GE(n1.streaming(4 * kMatrix), 0.95);
  NPU_EXPECT_OK(layer_norm(y, {}, {}, x, weight, weight, 1e-5, n1.stream()));
  EXPECT_GE(n1.streaming(2 * kMatrix), 0.74);
  NPU_EXPECT_OK(softmax(y, x, 1, false, n1.stream()));
  EXPECT_GE(n1.streaming(2 * kMatrix), 0.95);
  NPU_EXPECT_OK(gated_activation(GatedActivation::silu, y, pair, n1.stream()));
  EXPECT_GE(n1.streaming(3 * kMatrix), 0.95);
  const Tensor wide = n1.f32({kRows, kCols});
  NPU_EXPECT_OK(copy(wide, x, n1.stream()));
  EXPECT_GE(n1.streaming(3 * kMatrix), 0.95);
  NPU_EXPECT_OK(copy(y, x, n1.stream()));
  EXPECT_GE(n1.streaming(2 * kMatrix), 0.95);
}

TEST(Figures, StreamingKernelsOfASmallMachine) {
  constexpr int64_t kRows = 512, kCols = 4096;
  constexpr double kMatrix = 2.0 * kRows * kCols;
  Figures edge("n1-edge");
  const Tensor x = edge.bf16({kRows, kCols}), y = edge.bf16({kRows, kCols});
  const Tensor pair = edge.bf16({kRows, 2 * kCols});
  const Tensor wide = edge.f32({kRows, kCols});
  NPU_EXPECT_OK(copy(wide, x, edge.stream()));
  EXPECT_GE(edge.streaming(3 * kMatrix), 0.9);
  NPU_EXPECT_OK(copy(y, x, edge.stream()));
  EXPECT_GE(edge.streaming(2 * kMatrix), 0.9);
  NPU_EXPECT_OK(gated_activation(GatedActivation::silu, y, pair, edge.stream()));
  EXPECT_GT(edge.streaming(3 * kMatrix), 0.1);
}

}  // namespace
}  // namespace npu::kernels::testing

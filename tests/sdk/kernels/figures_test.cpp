// What the library reaches of the machine's peaks: a regression fails here.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "npu/kernels/attention.h"
#include "npu/kernels/elementwise.h"
#include "npu/kernels/index.h"
#include "npu/kernels/matmul.h"
#include "npu/kernels/reduce.h"
#include "tests/sdk/kernels/device_tensor.h"
#include "tests/sdk/kernels/estimator.h"

namespace npu::kernels::testing {
namespace {

// Time and memory of all launches since the last call.
class Figures {
 public:
  explicit Figures(const char* machine, const std::vector<const char*>& overrides = {})
      : estimator_(machine, overrides) {
    EXPECT_EQ(npuGetDeviceProperties(estimator_.device(), &properties_), NPU_SUCCESS);
  }

  Tensor bf16(std::initializer_list<int64_t> sizes) {
    return estimator_.tensor(NPU_BF16, 2, sizes);
  }
  Tensor f32(std::initializer_list<int64_t> sizes) { return estimator_.tensor(NPU_F32, 4, sizes); }
  Tensor integers64(std::initializer_list<int64_t> sizes) {
    return estimator_.tensor(NPU_I64, 8, sizes);
  }
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
  double streaming(double bytes) { return streaming(bytes, nanoseconds()); }
  double streaming(double bytes, double nanoseconds) const {
    return bytes / nanoseconds /
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

void causal_attention(Figures& figures, int64_t heads, int64_t kv_heads, int64_t tokens,
                      int64_t dim = 128) {
  const Tensor q = figures.bf16({1, heads, tokens, dim});
  const Tensor out = figures.bf16({1, heads, tokens, dim});
  const Tensor k = figures.bf16({1, kv_heads, tokens, dim});
  const Tensor v = figures.bf16({1, kv_heads, tokens, dim});
  const AttentionOptions options = {.scale = 0.088, .causal = true, .sinks = {}};
  NPU_EXPECT_OK(attention(out, {}, q, k, v, {}, options, figures.stream()));
}

double attention_figure(Figures& figures, int64_t heads, int64_t kv_heads, int64_t tokens) {
  causal_attention(figures, heads, kv_heads, tokens);
  return figures.matrix_utilization();
}

TEST(Figures, CausalAttention) {
  Figures n1("n1");
  EXPECT_GE(attention_figure(n1, 32, 32, 4096), 0.80);
  EXPECT_GE(attention_figure(n1, 32, 8, 4096), 0.83);
  Figures edge("n1-edge");
  EXPECT_GE(attention_figure(edge, 4, 4, 512), 0.25);
  // Heads of 128 fill half the rows of this array with keys and a quarter of its columns with
  // values: a third of its peak is all that the two products reach.
  Figures tpu("tpu-v6e");
  EXPECT_GE(attention_figure(tpu, 32, 8, 4096), 0.27);
}

enum class Layout : uint8_t {
  slots,  // [blocks, block, kv_heads, dim], keys and values apart
  vllm,   // [blocks, kv_heads, block, 2 dim], each value beside its key
};

// A token or some of each sequence against blocks of 16 in no order.
struct Decode {
  double nanoseconds = 0;
  double bytes = 0;  // of keys and values
};
Decode decode(Figures& figures, const std::vector<int32_t>& contexts, Layout layout,
              int64_t tokens = 1) {
  int64_t width = 0;
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
    starts.push_back(static_cast<int32_t>((s + 1) * tokens));
  }
  Tensor tables = figures.integers(table);
  tables.rank = 2;
  tables.sizes = {sequences, width};
  tables.strides = {width, 1};
  Tensor keys, values;
  if (layout == Layout::slots) {
    keys = figures.bf16({blocks, kBlock, kKvHeads, kDim});
    values = figures.bf16({blocks, kBlock, kKvHeads, kDim});
  } else {
    keys = figures.bf16({blocks, kKvHeads, kBlock, 2 * kDim});
    std::swap(keys.sizes[1], keys.sizes[2]);
    std::swap(keys.strides[1], keys.strides[2]);
    keys.sizes[3] = kDim;
    values = keys;
    values.data = static_cast<char*>(keys.data) + 2 * kDim;
  }
  const Tensor q = figures.bf16({sequences * tokens, kHeads, kDim});
  const Tensor out = figures.bf16({sequences * tokens, kHeads, kDim});
  const Tensor query_starts = figures.integers(starts);
  const Tensor lengths = figures.integers(contexts);
  const AttentionOptions options = {.scale = 0.088, .causal = true, .sinks = {}};
  figures.nanoseconds();
  NPU_EXPECT_OK(paged_attention(out, q, keys, values, tables, query_starts, lengths, tokens,
                                options, figures.stream()));
  return {figures.nanoseconds(), bytes};
}

double decode_figure(Figures& figures, const std::vector<int32_t>& contexts,
                     Layout layout = Layout::slots) {
  const Decode took = decode(figures, contexts, layout);
  return figures.streaming(took.bytes, took.nanoseconds);
}

TEST(Figures, PagedDecode) {
  Figures n1("n1");
  const std::vector<int32_t> even(64, 2048);
  EXPECT_GE(decode_figure(n1, even), 0.96);
  EXPECT_GE(decode_figure(n1, even, Layout::vllm), 0.97);
  std::vector<int32_t> ragged(64);
  std::mt19937 random(3);
  for (int32_t& context : ragged) context = 100 + static_cast<int32_t>(random() % 3900);
  std::vector<int32_t> dominated(64, 100);
  dominated[20] = 131072;
  std::vector<int32_t> small(256);
  for (int32_t& context : small) context = 1 + static_cast<int32_t>(random() % 400);
  for (const Layout layout : {Layout::slots, Layout::vllm}) {
    EXPECT_GE(decode_figure(n1, ragged, layout), 0.92);
    EXPECT_GE(decode_figure(n1, dominated, layout), 0.82);
    EXPECT_GE(decode_figure(n1, small, layout), 0.73);
  }
  Figures one_core("tpu-v6e");
  EXPECT_GE(decode_figure(one_core, even, Layout::vllm), 0.94);
  EXPECT_GE(decode_figure(one_core, ragged, Layout::vllm), 0.92);
}

// Few sequences: their keys are split, so that all cores take part.
TEST(Figures, LongContextDecode) {
  Figures n1("n1");
  EXPECT_GE(decode_figure(n1, {131072}), 0.88);
  EXPECT_GE(decode_figure(n1, {32768}), 0.82);
  EXPECT_GE(decode_figure(n1, std::vector<int32_t>(8, 32768)), 0.88);
  EXPECT_GE(decode_figure(n1, {32768, 100, 200, 64}), 0.70);
}

// Few short sequences: their heads are divided, so that the memory is waited for a few times and
// little else.
TEST(Figures, ShortContextDecode) {
  Figures n1("n1");
  constexpr double kLatency = 450;
  for (const Layout layout : {Layout::slots, Layout::vllm}) {
    EXPECT_LE(decode(n1, {100}, layout).nanoseconds, 6.5 * kLatency);
    EXPECT_LE(decode(n1, {327}, layout).nanoseconds, 9 * kLatency);
    EXPECT_LE(decode(n1, {692, 702}, layout).nanoseconds, 14 * kLatency);
  }
}

// What a machine gains must not be lost to another choice of tiles. A larger array also takes
// longer to fill and drain, which work that is soon done cannot hide.
TEST(Figures, AttentionOnBetterMachines) {
  struct Shape {
    int64_t heads, kv_heads, tokens, dim;
  };
  const std::vector<Shape> large = {
      {32, 8, 4096, 128}, {32, 32, 4096, 128}, {32, 8, 4096, 64}, {8, 2, 8192, 128}};
  const std::vector<Shape> small = {{4, 4, 2048, 128}, {16, 4, 1000, 64}, {32, 8, 1000, 128},
                                    {16, 2, 700, 128}, {8, 8, 512, 128},  {4, 4, 512, 128},
                                    {12, 12, 128, 64}};
  const std::vector<int32_t> many_sequences(64, 2048), few_sequences(2, 5000);
  const auto times = [](const std::vector<Shape>& shapes, const std::vector<int32_t>& contexts,
                        const std::vector<const char*>& overrides) {
    Figures figures("n1", overrides);
    std::vector<double> result;
    for (const Shape& shape : shapes) {
      causal_attention(figures, shape.heads, shape.kv_heads, shape.tokens, shape.dim);
      result.push_back(figures.nanoseconds());
    }
    for (const Layout layout : {Layout::slots, Layout::vllm}) {
      result.push_back(decode(figures, contexts, layout).nanoseconds);
    }
    return result;
  };
  const auto check = [&](const std::vector<Shape>& shapes, const std::vector<int32_t>& contexts,
                         std::initializer_list<const char*> changes) {
    const std::vector<double> before = times(shapes, contexts, {});
    for (const char* change : changes) {
      SCOPED_TRACE(change);
      const std::vector<double> after = times(shapes, contexts, {change});
      for (size_t i = 0; i < before.size(); ++i) {
        EXPECT_LE(after[i], 1.02 * before[i]) << "number " << i;
      }
    }
  };
  check(large, many_sequences,
        {"hbm.bandwidth_gbps=x2", "hbm.bandwidth_gbps=x4", "matrix.cols=x2", "matrix.rows=x2"});
  check(small, few_sequences,
        {"hbm.bandwidth_gbps=x2", "hbm.bandwidth_gbps=x4", "core.scratchpad_kib=x2",
         "core.scratchpad_kib=x4"});
}

// Programs that read the same keys share the memory: more of them than it serves are no gain.
TEST(Figures, AttentionOnManyCores) {
  const auto nanoseconds = [](const std::vector<const char*>& changes, int64_t heads,
                              int64_t kv_heads, int64_t tokens, int64_t dim) {
    Figures figures("n1", changes);
    causal_attention(figures, heads, kv_heads, tokens, dim);
    return figures.nanoseconds();
  };
  const double before = nanoseconds({"core.count=32"}, 8, 2, 2048, 128);
  for (const char* cores : {"core.count=64", "core.count=96", "core.count=192"}) {
    EXPECT_LE(nanoseconds({cores}, 8, 2, 2048, 128), 1.02 * before) << cores;
  }
  // As many as the network serves, where the memory would serve more.
  EXPECT_LE(nanoseconds({"core.count=32", "hbm.bandwidth_gbps=x2"}, 4, 4, 11008, 192),
            1.02 * nanoseconds({"core.count=32"}, 4, 4, 11008, 192));
}

// A part of a prompt behind a long context: its keys are read about once.
TEST(Figures, PartsOfPromptsBehindLongContexts) {
  Figures n1("n1");
  for (const int64_t tokens : {8, 32, 33, 48}) {
    const Decode took = decode(n1, {32768}, Layout::vllm, tokens);
    EXPECT_GE(n1.streaming(took.bytes, took.nanoseconds), 0.75) << tokens;
  }
}

// More tokens of a prompt take no less time, whatever divides them.
TEST(Figures, FewerTokensOfPromptsTakeNoLonger) {
  Figures n1("n1");
  for (const int32_t context : {2048, 4096, 16384}) {
    for (const int sequences : {1, 2, 4}) {
      const std::vector<int32_t> contexts(static_cast<size_t>(sequences), context);
      double longest = 0;
      for (const int64_t tokens : {32, 48, 64, 80, 96, 128}) {
        const double now = decode(n1, contexts, Layout::vllm, tokens).nanoseconds;
        EXPECT_LE(longest, 1.15 * now) << sequences << " x " << tokens << " after " << context;
        longest = std::max(longest, now);
      }
    }
  }
}

// Keys are columns of one product and rows of the next.
TEST(Figures, AttentionOnArraysOfAnySides) {
  const auto nanoseconds = [](const std::string& change) {
    Figures figures("n1", {change.c_str()});
    causal_attention(figures, 32, 8, 4096);
    return figures.nanoseconds();
  };
  for (const std::string key : {"matrix.rows=", "matrix.cols="}) {
    const double narrow = nanoseconds(key + "64");
    EXPECT_LE(nanoseconds(key + "80"), narrow);
    EXPECT_LE(nanoseconds(key + "96"), 0.9 * narrow);
    EXPECT_LE(nanoseconds(key + "128"), 0.6 * narrow);
  }
}

// Where the array's widths do not fit the scratchpad, smaller tiles serve it.
TEST(Figures, AttentionInASmallScratchpad) {
  const auto nanoseconds = [](int kib) {
    const std::string change = "core.scratchpad_kib=" + std::to_string(kib);
    Figures figures("n1", {change.c_str()});
    causal_attention(figures, 32, 8, 1024);
    return figures.nanoseconds();
  };
  double before = nanoseconds(64);
  for (const int kib : {128, 192, 256, 512, 1024, 4096}) {
    const double after = nanoseconds(kib);
    EXPECT_LE(after, 1.05 * before) << kib << " KiB";
    before = after;
  }
}

// The least shares of streaming bandwidth.
struct StreamingFigures {
  double rms_norm, fused_add_rms_norm, layer_norm, softmax, silu_and_mul, cast, copy;
};

void expect_streaming(const char* machine, const StreamingFigures& least) {
  SCOPED_TRACE(machine);
  constexpr int64_t kRows = 16384, kCols = 4096;
  constexpr double kMatrix = 2.0 * kRows * kCols;
  Figures figures(machine);
  const npuStream stream = figures.stream();
  const Tensor x = figures.bf16({kRows, kCols}), y = figures.bf16({kRows, kCols});
  const Tensor residual = figures.bf16({kRows, kCols}), pair = figures.bf16({kRows, 2 * kCols});
  const Tensor weight = figures.bf16({kCols});
  NPU_EXPECT_OK(rms_norm(y, x, weight, 1e-5, 0, stream));
  EXPECT_GE(figures.streaming(2 * kMatrix), least.rms_norm);
  NPU_EXPECT_OK(fused_add_rms_norm(y, residual, x, weight, 1e-5, 0, stream));
  EXPECT_GE(figures.streaming(4 * kMatrix), least.fused_add_rms_norm);
  NPU_EXPECT_OK(layer_norm(y, {}, {}, x, weight, weight, 1e-5, stream));
  EXPECT_GE(figures.streaming(2 * kMatrix), least.layer_norm);
  NPU_EXPECT_OK(softmax(y, x, 1, false, stream));
  EXPECT_GE(figures.streaming(2 * kMatrix), least.softmax);
  NPU_EXPECT_OK(gated_activation(GatedActivation::silu, y, pair, stream));
  EXPECT_GE(figures.streaming(3 * kMatrix), least.silu_and_mul);
  const Tensor wide = figures.f32({kRows, kCols});
  NPU_EXPECT_OK(copy(wide, x, stream));
  EXPECT_GE(figures.streaming(3 * kMatrix), least.cast);
  NPU_EXPECT_OK(copy(y, x, stream));
  EXPECT_GE(figures.streaming(2 * kMatrix), least.copy);
}

TEST(Figures, StreamingKernels) {
  expect_streaming("n1", {0.95, 0.95, 0.74, 0.95, 0.95, 0.95, 0.95});
  expect_streaming("tpu-v6e", {0.9, 0.9, 0.74, 0.9, 0.95, 0.95, 0.95});
}

// The logits of a step: lines are read once, and where they are few all cores take part.
TEST(Figures, SoftmaxOfLongLines) {
  constexpr int64_t kWords = 128256;
  Figures n1("n1");
  const auto nanoseconds = [&](const Tensor& y, const Tensor& x, int dim) {
    NPU_EXPECT_OK(softmax(y, x, dim, false, n1.stream()));
    return n1.nanoseconds();
  };
  const auto rows = [&](int64_t count) { return n1.f32({count, kWords}); };
  EXPECT_GE(n1.streaming(8.0 * 64 * kWords, nanoseconds(rows(64), rows(64), 1)), 0.9);
  EXPECT_LE(nanoseconds(rows(1), rows(1), 1), 6000);
  const auto narrow = [&] { return n1.f32({1 << 18, 8}); };
  EXPECT_LE(nanoseconds(narrow(), narrow(), 0), 40000);
}

// The likeliest of a vocabulary: parts of a line are sorted by all cores.
TEST(Figures, TopOfLongLines) {
  Figures n1("n1");
  const auto nanoseconds = [&](int64_t words) {
    const Tensor values = n1.f32({1, 50});
    const Tensor indices = n1.integers64({1, 50});
    NPU_EXPECT_OK(topk(values, indices, n1.f32({1, words}), 1, true, n1.stream()));
    return n1.nanoseconds();
  };
  const double before = nanoseconds(33000);
  EXPECT_LE(nanoseconds(32000), 1.02 * before);
  EXPECT_LE(nanoseconds(17000), 1.02 * before);
  EXPECT_LE(nanoseconds(128256), 7000);
}

// A step of generation: most groups are empty, and all cores read the matrices of the others.
TEST(Figures, FewRowsOfManyGroups) {
  constexpr int64_t kGroups = 128, kChosen = 8, kIn = 2048, kOut = 1536;
  Figures n1("n1");
  for (const int64_t apart : {1, 3, 16}) {
    SCOPED_TRACE(apart);
    std::vector<int32_t> ends(kGroups);
    for (int64_t group = 0; group < kGroups; ++group) {
      ends[static_cast<size_t>(group)] = static_cast<int32_t>(std::min(kChosen, group / apart + 1));
    }
    Tensor weights = n1.bf16({kGroups, kOut, kIn});
    std::swap(weights.sizes[1], weights.sizes[2]);
    std::swap(weights.strides[1], weights.strides[2]);
    NPU_EXPECT_OK(grouped_matmul(n1.bf16({kChosen, kOut}), n1.bf16({kChosen, kIn}), weights,
                                 n1.integers(ends), {}, n1.stream()));
    EXPECT_GE(n1.streaming(2.0 * kChosen * kIn * kOut), 0.8);
  }
}

// Tiles grow with what hides the latency, and no further.
TEST(Figures, StreamingKernelsOnAFasterMemory) {
  double softmax_before = 0, copy_before = 0;
  for (const char* bandwidth : {"x1", "x1.5", "x2", "x4"}) {
    SCOPED_TRACE(bandwidth);
    const std::string override = std::string("hbm.bandwidth_gbps=") + bandwidth;
    Figures figures("n1", {override.c_str()});
    const Tensor x = figures.bf16({2048, 4096}), y = figures.bf16({2048, 4096});
    NPU_EXPECT_OK(softmax(y, x, 1, false, figures.stream()));
    const double softmax_now = figures.nanoseconds();
    NPU_EXPECT_OK(copy(y, x, figures.stream()));
    const double copy_now = figures.nanoseconds();
    if (softmax_before > 0) {
      EXPECT_LE(softmax_now, 1.005 * softmax_before);
      EXPECT_LE(copy_now, 1.005 * copy_before);
    }
    softmax_before = softmax_now;
    copy_before = copy_now;
  }
}

// A memory that is busy gains nothing by more cores; smaller tiles of theirs must not keep it busy
// with more.
TEST(Figures, StreamingKernelsOnMoreCores) {
  const auto nanoseconds = [](const char* cores) {
    Figures figures("n1", {cores});
    const npuStream stream = figures.stream();
    const Tensor x = figures.f32({2048, 4096}), y = figures.f32({2048, 4096});
    Tensor transposed = figures.f32({4096, 2048});
    std::swap(transposed.sizes[0], transposed.sizes[1]);
    std::swap(transposed.strides[0], transposed.strides[1]);
    Tensor row = figures.f32({1, 4096});
    const Tensor sums = row;
    row.sizes[0] = 2048;
    row.strides[0] = 0;
    std::vector<double> times;
    NPU_EXPECT_OK(copy(y, transposed, stream));
    times.push_back(figures.nanoseconds());
    NPU_EXPECT_OK(copy(y, row, stream));
    times.push_back(figures.nanoseconds());
    NPU_EXPECT_OK(reduce(Reduction::sum, sums, x, 1, {}, stream));
    times.push_back(figures.nanoseconds());
    return times;
  };
  const std::vector<double> before = nanoseconds("core.count=16");
  for (const char* cores : {"core.count=17", "core.count=24", "core.count=31"}) {
    const std::vector<double> after = nanoseconds(cores);
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_LE(after[i], 1.03 * before[i]) << cores << ", number " << i;
    }
  }
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
  // Their lines take the scratchpad: they are read once.
  NPU_EXPECT_OK(rms_norm(y, x, edge.bf16({kCols}), 1e-5, 0, edge.stream()));
  EXPECT_GE(edge.streaming(2 * kMatrix), 0.9);
  NPU_EXPECT_OK(fused_add_rms_norm(y, edge.bf16({kRows, kCols}), x, edge.bf16({kCols}), 1e-5, 0,
                                   edge.stream()));
  EXPECT_GE(edge.streaming(4 * kMatrix), 0.8);
  NPU_EXPECT_OK(softmax(y, x, 1, false, edge.stream()));
  EXPECT_GE(edge.streaming(2 * kMatrix), 0.9);
}

}  // namespace
}  // namespace npu::kernels::testing

#include "csrc/sdk/kernels/paged_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>

#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/decode_division.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "tests/sdk/kernels/packed_attention.h"

namespace npu::kernels::testing {
namespace {

// Caches whose blocks stand in no order; `fused` holds keys and values in one tensor
// [2, blocks, block_size, heads, dim], `pairs` has each value beside its key, `head_major` has
// heads outside the slots of a block. Pairs that are head-major are vLLM's layout.
struct Paging {
  int64_t block_size = 16;
  bool fused = false;
  bool pairs = false;
  bool head_major = false;
  npuDataType index = NPU_I32;
};

class PagedCase {
 public:
  PagedCase(PackedBatch& batch, npuDataType type, const Paging& paging)
      : batch_(batch), paging_(paging) {
    batch.solve(type);
    const int64_t size = paging.block_size;
    table_width_ = (batch.longest + size - 1) / size + 1;
    blocks_ = 3;
    for (const double length : batch.key_lengths) {
      blocks_ += (static_cast<int64_t>(length) + size - 1) / size;
    }
    make_table();
    make_caches(type);
  }

  Tensor keys, values;
  std::vector<double> table;  // [sequences, table_width]

  int64_t table_width() const { return table_width_; }

 private:
  void make_table() {
    std::vector<int64_t> order(static_cast<size_t>(blocks_));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(3));
    auto next = order.begin();
    for (const double length : batch_.key_lengths) {
      const int64_t used =
          (static_cast<int64_t>(length) + paging_.block_size - 1) / paging_.block_size;
      // What lies beyond the sequence must not be looked at.
      for (int64_t i = 0; i < table_width_; ++i) {
        table.push_back(i < used ? static_cast<double>(*next++) : 1e9);
      }
    }
  }

  void make_caches(npuDataType type) {
    const int64_t parts = paging_.fused ? 2 : 1;
    const std::vector<int> layout =
        paging_.head_major ? std::vector{0, 1, 3, 2, 4} : std::vector{0, 1, 2, 3, 4};
    const std::vector<int64_t> sizes = {parts, blocks_, paging_.block_size, batch_.kv_heads,
                                        batch_.dim};
    if (paging_.pairs) {
      make_pairs(type);
      return;
    }
    std::vector<std::vector<double>> filled;
    for (int part = 0; part < 2; ++part) {
      // Slots that no sequence owns hold what would spoil every sum.
      filled.emplace_back(
          static_cast<size_t>(blocks_ * paging_.block_size * batch_.kv_heads * batch_.dim),
          std::numeric_limits<double>::quiet_NaN());
      fill(filled.back(), part == 0 ? batch_.packed_k() : batch_.packed_v());
    }
    if (paging_.fused) {
      filled[0].insert(filled[0].end(), filled[1].begin(), filled[1].end());
      filled.pop_back();
    }
    for (const auto& content : filled) {
      memory_.push_back(std::make_unique<DeviceTensor>(type, sizes, layout));
      memory_.back()->set(content);
    }
    keys = part_of(memory_.front()->view(), 0, type);
    values = part_of(memory_.back()->view(), paging_.fused ? 1 : 0, type);
  }

  void make_pairs(npuDataType type) {
    const int64_t dim = batch_.dim;
    std::vector<double> both[2];
    for (std::vector<double>& part : both) {
      part.assign(static_cast<size_t>(blocks_ * paging_.block_size * batch_.kv_heads * dim),
                  std::numeric_limits<double>::quiet_NaN());
    }
    fill(both[0], batch_.packed_k());
    fill(both[1], batch_.packed_v());
    std::vector<double> joined;
    for (auto at = size_t{0}; at < both[0].size(); at += static_cast<size_t>(dim)) {
      for (const std::vector<double>& part : both) {
        joined.insert(joined.end(), part.begin() + static_cast<ptrdiff_t>(at),
                      part.begin() + static_cast<ptrdiff_t>(at) + dim);
      }
    }
    const std::vector<int64_t> sizes = {blocks_, paging_.block_size, batch_.kv_heads, 2 * dim};
    const std::vector<int> layout =
        paging_.head_major ? std::vector{0, 2, 1, 3} : std::vector{0, 1, 2, 3};
    memory_.push_back(std::make_unique<DeviceTensor>(type, sizes, layout));
    memory_.back()->set(joined);
    keys = values = memory_.back()->view();
    keys.sizes[3] = values.sizes[3] = dim;
    values.data = static_cast<char*>(values.data) + dim * static_cast<int64_t>(element_size(type));
  }

  static Tensor part_of(const Tensor& whole, int64_t part, npuDataType type) {
    Tensor tensor = whole;
    tensor.data = static_cast<char*>(whole.data) +
                  part * whole.strides[0] * static_cast<int64_t>(element_size(type));
    tensor.rank = 4;
    for (int d = 0; d < 4; ++d) {
      tensor.sizes[d] = whole.sizes[d + 1];
      tensor.strides[d] = whole.strides[d + 1];
    }
    return tensor;
  }

  void fill(std::vector<double>& cache, const std::vector<double>& rows) const {
    const int64_t width = batch_.kv_heads * batch_.dim;
    int64_t row = 0;
    for (size_t s = 0; s < batch_.lengths.size(); ++s) {
      for (int64_t i = 0; i < batch_.lengths[s].second; ++i, ++row) {
        const auto entry = static_cast<int64_t>(s) * table_width_ + i / paging_.block_size;
        const auto block = static_cast<int64_t>(table[static_cast<size_t>(entry)]);
        const int64_t slot = block * paging_.block_size + i % paging_.block_size;
        std::copy_n(rows.begin() + row * width, width, cache.begin() + slot * width);
      }
    }
  }

  PackedBatch& batch_;
  Paging paging_;
  int64_t table_width_ = 0;
  int64_t blocks_ = 0;
  std::vector<std::unique_ptr<DeviceTensor>> memory_;
};

// A batch on the device.
struct Call {
  Call(PackedBatch& batch, npuDataType type, const Paging& paging)
      : paged(batch, type, paging),
        q(type, {batch.queries, batch.heads, batch.dim}),
        out(type, {batch.queries, batch.heads, batch.dim}),
        starts(paging.index, {sequences(batch) + 1}),
        lengths(paging.index, {sequences(batch)}),
        table(paging.index, {sequences(batch), paged.table_width()}),
        sinks(type, {batch.heads}),
        options(batch.options) {
    q.set(batch.packed_q());
    starts.set(batch.query_starts);
    lengths.set(batch.key_lengths);
    table.set(paged.table);
    if (batch.sinks.empty()) return;
    sinks.set(batch.sinks);
    options.sinks = sinks;
  }
  static int64_t sequences(const PackedBatch& batch) {
    return static_cast<int64_t>(batch.lengths.size());
  }

  PagedCase paged;
  DeviceTensor q, out, starts, lengths, table, sinks;
  AttentionOptions options;
};

void check(PackedBatch batch, npuDataType type, const Paging& paging) {
  Call call(batch, type, paging);
  NPU_ASSERT_OK(npuResetCounters(0));
  NPU_ASSERT_OK(paged_attention(call.out, call.q, call.paged.keys, call.paged.values, call.table,
                                call.starts, call.lengths, batch.longest_query, call.options,
                                stream()));
  npuCounters counters;
  NPU_ASSERT_OK(npuGetCounters(0, &counters));
  expect_close(call.out.get_all(), batch.packed_out(), attention_tolerance(type));
  EXPECT_EQ(counters.macs, static_cast<uint64_t>(batch.visible * 2 * batch.dim));
}

// All divisions that the call could have, whichever costs least.
// How many there were.
size_t check_divisions(PackedBatch batch, npuDataType type, const Paging& paging) {
  Call on_device(batch, type, paging);
  const sim::Machine& machine = *sdk::machine_of(stream());
  const PagedOperands operands = {on_device.out.view(),    on_device.q.view(),
                                  on_device.paged.keys,    on_device.paged.values,
                                  on_device.table.view(),  on_device.starts.view(),
                                  on_device.lengths.view()};
  AttentionCall planned;
  NPU_EXPECT_OK(check_paged(operands, batch.longest_query, on_device.options, &planned));
  NPU_EXPECT_OK(plan_attention(machine, planned));
  const std::vector<double> expected = batch.packed_out();
  const std::vector<DecodeDivision> divisions = decode_divisions(machine, planned);
  for (const DecodeDivision& division : divisions) {
    SCOPED_TRACE(::testing::Message()
                 << division.form.kv_heads << " heads, " << division.parts << " parts, "
                 << division.head_chunks << " chunks, shares " << division.form.shares);
    AttentionCall call = planned;
    divide(machine, division, call);
    on_device.out.set(std::vector<double>(expected.size(), 7));
    NPU_EXPECT_OK(launch_paged(machine, call, operands, stream()));
    expect_close(on_device.out.get_all(), expected, attention_tolerance(type));
  }
  return divisions.size();
}

PackedBatch mixed() {
  PackedBatch batch;
  batch.lengths = {{1, 37}, {20, 20}, {1, 1}, {7, 129}, {1, 300}, {45, 64}};
  return batch;
}

TEST(PagedAttention, BlockSizes) {
  for (const int64_t size : {1, 16, 24, 32, 64, 1024}) {
    SCOPED_TRACE(size);
    check(mixed(), NPU_F32, {.block_size = size});
  }
}

TEST(PagedAttention, TypesAndWideIndices) {
  for (const npuDataType type : {NPU_BF16, NPU_F16}) {
    check(mixed(), type, {.index = NPU_I64});
  }
}

TEST(PagedAttention, Layouts) {
  check(mixed(), NPU_F32, {.fused = true});
  check(mixed(), NPU_F32, {.head_major = true});
  check(mixed(), NPU_BF16, {.block_size = 32, .fused = true, .head_major = true});
}

// Decode batches, whose programs take KV heads in turns: odd and even numbers of steps, parts of
// blocks and of runs, sequences of nothing.
PackedBatch decoding() {
  PackedBatch batch;
  for (const int64_t keys : {0, 1, 15, 16, 17, 250, 700, 1030, 2, 333})
    batch.lengths.push_back({1, keys});
  batch.heads = 24;
  batch.kv_heads = 12;
  batch.dim = batch.value_dim = 32;
  return batch;
}

TEST(PagedAttention, DecodeOfAllLayouts) {
  for (const int64_t block_size : {1, 8, 16, 24, 256}) {
    for (const bool pairs : {false, true}) {
      for (const bool head_major : {false, true}) {
        SCOPED_TRACE(::testing::Message() << block_size << pairs << head_major);
        check(decoding(), NPU_BF16,
              {.block_size = block_size, .pairs = pairs, .head_major = head_major});
      }
    }
  }
}

TEST(PagedAttention, DecodeOptions) {
  for (const bool head_major : {false, true}) {
    for (const bool causal : {false, true}) {
      PackedBatch batch = decoding();
      batch.lengths.push_back({4, 200});
      batch.options.causal = causal;
      batch.options.window = 45;
      batch.options.soft_cap = 3;
      for (int64_t h = 0; h < batch.heads; ++h) {
        batch.sinks.push_back(0.25 * static_cast<double>(h % 7) - 1);
      }
      check(batch, NPU_F32, {.pairs = true, .head_major = head_major});
      check(batch, NPU_F32, {.head_major = head_major});
    }
  }
}

// A program has a number of registers, however many heads lie side by side.
TEST(PagedAttention, ManyNarrowHeads) {
  for (const int64_t kv_heads : {24, 32, 64, 256}) {
    for (const bool pairs : {false, true}) {
      SCOPED_TRACE(kv_heads);
      PackedBatch batch;
      batch.lengths = {{1, 37}, {1, 70}};
      batch.heads = batch.kv_heads = kv_heads;
      batch.options.window = 50;
      batch.options.soft_cap = 3;
      batch.sinks.assign(static_cast<size_t>(kv_heads), 0.5);
      check(batch, NPU_BF16, {.pairs = pairs});
    }
  }
}

TEST(PagedAttention, FormsHaveKeysOfTheirOwn) {
  std::set<std::array<int64_t, 5>> keys;
  size_t forms = 0;
  for (const int64_t each : {128, 129, 384}) {
    for (const int heads : {1, 2, 255, 256, 257}) {
      for (const int blocks : {1, 2, 256}) {
        for (const int64_t run : {1, 2, 128}) {
          AttentionForm form;
          form.keys = each;
          form.kv_heads = heads;
          form.blocks = blocks;
          form.run = run;
          keys.insert(form.key());
          ++forms;
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), forms);
}

TEST(PagedAttention, KeysAndValuesOfDifferentStrides) {
  PackedBatch batch = mixed();
  PagedCase paged(batch, NPU_F32, {});
  // The values once more in a cache with room between its slots.
  const Tensor& packed = paged.values;
  DeviceTensor wide(NPU_F32, {packed.sizes[0], packed.sizes[1], packed.sizes[2], 24});
  Tensor narrow = wide;
  narrow.sizes[3] = 16;
  DeviceTensor whole(NPU_F32, {packed.numel()});
  NPU_ASSERT_OK(npuMemcpyAsync(whole.view().data, packed.data,
                               static_cast<size_t>(packed.numel()) * 4, NPU_DEVICE_TO_DEVICE,
                               stream()));
  const std::vector<double> content = whole.get_all();
  std::vector<double> spread(static_cast<size_t>(wide.numel()), 0);
  for (size_t i = 0; i < content.size(); ++i) spread[i / 16 * 24 + i % 16] = content[i];
  wide.set(spread);

  const auto sequences = static_cast<int64_t>(batch.lengths.size());
  DeviceTensor q(NPU_F32, {batch.queries, batch.heads, batch.dim});
  DeviceTensor out(NPU_F32, {batch.queries, batch.heads, batch.dim});
  DeviceTensor starts(NPU_I32, {sequences + 1}), lengths(NPU_I32, {sequences}),
      table(NPU_I32, {sequences, paged.table_width()});
  q.set(batch.packed_q());
  starts.set(batch.query_starts);
  lengths.set(batch.key_lengths);
  table.set(paged.table);
  NPU_ASSERT_OK(paged_attention(out, q, paged.keys, narrow, table, starts, lengths,
                                batch.longest_query, batch.options, stream()));
  expect_close(out.get_all(), batch.packed_out(), attention_tolerance(NPU_F32));
}

TEST(PagedAttention, WindowCapAndSinks) {
  PackedBatch batch = mixed();
  batch.options.window = 21;
  batch.options.soft_cap = 4;
  batch.sinks = {0, 1, -1, 2};
  check(batch, NPU_F32, {});
  batch.options.window = 0;
  batch.options.soft_cap = 0;
  check(batch, NPU_BF16, {.block_size = 1});
}

// Decoding reads each key and value once for all heads that share it.
TEST(PagedAttention, DecodeReadsTheCacheOnce) {
  PackedBatch batch;
  batch.lengths = {{1, 256}, {1, 256}};
  batch.heads = 8;
  batch.kv_heads = 1;
  batch.dim = batch.value_dim = 64;
  batch.options.scale = 0.125;
  check(batch, NPU_BF16, {});
  npuCounters counters;
  NPU_ASSERT_OK(npuGetCounters(0, &counters));
  const uint64_t cache = 2 * 256 * 2 * 64 * 2;
  EXPECT_GE(counters.dma_read_bytes, cache);
  // Where programs share sequences, partial results are read again: of each program and sequence
  // sums and two statistics for each head.
  npuDeviceProperties properties;
  NPU_ASSERT_OK(npuGetDeviceProperties(0, &properties));
  const auto places = static_cast<uint64_t>(properties.core_count) + 2;
  const uint64_t partial = counters.launches > 1 ? places * 8 * (64 + 2) * 4 : 0;
  EXPECT_LE(counters.dma_read_bytes, cache + cache / 8 + partial);
}

// Programs share the keys of batches that are read in several lots, some of whose sequences have no
// keys or no queries.
TEST(PagedAttention, KeysOfManySequencesAreShared) {
  std::mt19937 random(7);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % n); };
  for (const int64_t sequences : {1, 2, 31, 32, 33, 64, 300}) {
    for (const int64_t window : {0, 40, 700}) {
      SCOPED_TRACE(::testing::Message() << sequences << " sequences, window " << window);
      PackedBatch batch;
      for (int64_t s = 0; s < sequences; ++s) {
        const int64_t keys = below(4) == 0 ? below(3) : below(below(8) == 0 ? 900 : 150);
        batch.lengths.push_back({std::min(below(4), keys), keys});
      }
      batch.lengths[static_cast<size_t>(below(sequences))] = {3, 3000};
      batch.options.window = window;
      check(batch, NPU_F32, {.pairs = window == 40, .head_major = sequences % 2 == 1});
    }
  }
}

// Tiles of few keys: a run of them is as long as the tile.
TEST(PagedAttention, DecodeOfWideHeads) {
  for (const bool pairs : {false, true}) {
    PackedBatch batch;
    batch.lengths = {{1, 700}, {1, 45}, {2, 16}};
    batch.dim = batch.value_dim = 128;
    batch.options.scale = 0.09;
    check(batch, NPU_BF16, {.pairs = pairs, .head_major = true});
  }
}

// Where sequences are fewer than cores: parts of a sequence's keys, some without any, are joined.
TEST(PagedAttention, KeysOfFewSequencesAreSplit) {
  npuDeviceProperties properties;
  NPU_ASSERT_OK(npuGetDeviceProperties(0, &properties));
  PackedBatch batch;
  batch.lengths = {{1, 12000}, {1, 40}, {2, 0}};
  batch.heads = 8;
  batch.kv_heads = 4;
  batch.dim = batch.value_dim = 64;
  batch.options.scale = 0.125;
  const auto check_launches = [&](npuDataType type) {
    check(batch, type, {});
    npuCounters counters;
    NPU_ASSERT_OK(npuGetCounters(0, &counters));
    EXPECT_EQ(counters.launches, properties.core_count > 1 ? 2U : 1U);
  };
  check_launches(NPU_F32);
  check_launches(NPU_BF16);
  batch.sinks = {0, 1, -1, 2, 0, 3, -2, 1};
  batch.options.window = 9000;
  batch.options.soft_cap = 4;
  check_launches(NPU_F32);
}

// The cost model chooses one of them; all are right.
TEST(PagedAttention, EveryDivision) {
  PackedBatch few;
  few.lengths = {{1, 500}, {2, 40}, {0, 9}, {3, 0}};
  few.heads = 16;
  few.kv_heads = 8;
  few.options.window = 300;
  few.options.soft_cap = 4;
  few.sinks.assign(16, 0.5);
  PackedBatch many;
  for (int64_t s = 0; s < 40; ++s) many.lengths.emplace_back(s % 3 == 0 ? 2 : 1, 1 + s * s % 130);
  many.heads = many.kv_heads = 16;
  for (PackedBatch* batch : {&few, &many}) {
    batch->dim = batch->value_dim = 32;
    batch->options.scale = 0.2;
    for (const Paging& paging :
         {Paging{}, Paging{.head_major = true}, Paging{.pairs = true},
          Paging{.block_size = 15, .index = NPU_I64}, Paging{.block_size = 1, .fused = true}}) {
      check_divisions(*batch, NPU_F32, paging);
    }
  }
  PackedBatch one;
  one.lengths = {{1, 700}, {1, 65}};
  one.heads = 4;
  one.kv_heads = 1;
  one.dim = one.value_dim = 64;
  check_divisions(one, NPU_BF16, {.block_size = 15});
  check_divisions(one, NPU_BF16, {});
}

// More rows than the array has: parts of prompts, and what was guessed of several tokens.
TEST(PagedAttention, EveryDivisionOfManyRows) {
  PackedBatch batch;
  batch.lengths = {{33, 300}, {5, 64}, {21, 21}, {0, 7}};
  batch.heads = 8;
  batch.kv_heads = 2;
  batch.dim = batch.value_dim = 32;
  batch.options.scale = 0.2;
  batch.options.causal = true;
  const sim::Machine& machine = *sdk::machine_of(stream());
  const bool divides = 33 * 4 <= 4 * machine.matrix.rows;
  for (const Paging& paging :
       {Paging{}, Paging{.pairs = true}, Paging{.head_major = true}, Paging{.block_size = 15}}) {
    EXPECT_EQ(check_divisions(batch, NPU_F32, paging) > 1, divides);
  }
  batch.sinks = {0, 1, -1, 2, 0, 3, -2, 1};
  batch.options.window = 50;
  batch.options.soft_cap = 4;
  check_divisions(batch, NPU_F32, {});
  check_divisions(batch, NPU_BF16, {.pairs = true});
}

TEST(PagedAttention, BadArguments) {
  DeviceTensor q(NPU_F32, {6, 4, 8}), out(NPU_F32, {6, 4, 8}), cache(NPU_F32, {5, 16, 2, 8}),
      other(NPU_F32, {5, 8, 2, 8}), table(NPU_I32, {2, 4}), starts(NPU_I32, {3}),
      lengths(NPU_I32, {2}), three(NPU_I32, {3});
  const auto expect_error = [&](npuStatus status, const std::string& text) {
    EXPECT_EQ(status, NPU_ERROR_INVALID_VALUE);
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << npuGetLastErrorString();
  };
  expect_error(paged_attention(out, q, cache, other, table, starts, lengths, 6, {}, stream()),
               "16 in k_cache and 8 in v_cache");
  expect_error(paged_attention(out, q, cache, cache, table, starts, three, 6, {}, stream()),
               "cu_seqlens_q has 3 elements, expected are 4");
  expect_error(paged_attention(out, q, cache, cache, lengths, starts, lengths, 6, {}, stream()),
               "block_table of rank 1");
  expect_error(paged_attention(out, q, cache, cache, table, starts, lengths, 9, {}, stream()),
               "max_query_len 9");
}

}  // namespace
}  // namespace npu::kernels::testing

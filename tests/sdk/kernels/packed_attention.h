// Batches of sequences of different lengths, for tests of varlen and paged attention.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/sdk/kernels/attention_reference.h"

namespace npu::kernels::testing {

struct PackedBatch {
  // Query and key lengths of each sequence.
  std::vector<std::pair<int64_t, int64_t>> lengths;
  int64_t heads = 4, kv_heads = 2, dim = 16, value_dim = 16;
  AttentionOptions options = {.scale = 0.25, .causal = true, .sinks = {}};
  std::vector<double> sinks;  // [heads], or empty

  std::vector<AttentionCase> cases;
  int64_t queries = 0, keys = 0, longest_query = 0, longest = 0, visible = 0;
  std::vector<double> query_starts = {0}, key_starts = {0}, key_lengths;

  void solve(npuDataType type) {
    for (const auto& [query_len, key_len] : lengths) {
      AttentionCase c;
      c.heads = heads;
      c.kv_heads = kv_heads;
      c.queries = query_len;
      c.keys = key_len;
      c.dim = dim;
      c.value_dim = value_dim;
      c.options = options;
      c.sinks = sinks;
      c.fill(type, static_cast<uint32_t>(10 * cases.size() + 1));
      c.solve();
      cases.push_back(c);
      queries += query_len;
      keys += key_len;
      visible += c.visible;
      longest_query = std::max(longest_query, query_len);
      longest = std::max(longest, key_len);
      query_starts.push_back(static_cast<double>(queries));
      key_starts.push_back(static_cast<double>(keys));
      key_lengths.push_back(static_cast<double>(key_len));
    }
  }

  // The cases' [heads, tokens, dim] one after the other as [tokens, heads, dim].
  template <class Member>
  std::vector<double> packed(Member member, int64_t head_count, int64_t width,
                             bool of_queries) const {
    std::vector<double> all;
    for (const AttentionCase& c : cases) {
      const int64_t tokens = of_queries ? c.queries : c.keys;
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t h = 0; h < head_count; ++h) {
          const auto first = (c.*member).begin() + (h * tokens + t) * width;
          all.insert(all.end(), first, first + width);
        }
      }
    }
    return all;
  }
  std::vector<double> packed_q() const { return packed(&AttentionCase::q, heads, dim, true); }
  std::vector<double> packed_k() const { return packed(&AttentionCase::k, kv_heads, dim, false); }
  std::vector<double> packed_v() const {
    return packed(&AttentionCase::v, kv_heads, value_dim, false);
  }
  std::vector<double> packed_out() const {
    return packed(&AttentionCase::out, heads, value_dim, true);
  }
};

}  // namespace npu::kernels::testing

// Attention in double precision, one score after the other, for tests of all its forms.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "npu/kernels/attention.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels::testing {

// Row-major [B, H, Lq, D], [B, Hkv, Lk, D], [B, Hkv, Lk, Dv].
struct AttentionCase {
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, dim = 8, value_dim = 8;
  AttentionOptions options = {};       // its sinks apart
  std::vector<double> q, k, v;         // filled by fill()
  std::vector<double> mask;            // [B, H, Lq, Lk] added to the scores, or empty
  std::vector<double> sinks;           // [H], or empty
  std::vector<double> out, logsumexp;  // filled by solve()
  int64_t visible = 0;                 // pairs of query and key, by causality and window alone

  void fill(npuDataType type, uint32_t seed = 1) {
    q = random_values(type, batch * heads * queries * dim, -2, 2, seed);
    k = random_values(type, batch * kv_heads * keys * dim, -2, 2, seed + 1);
    v = random_values(type, batch * kv_heads * keys * value_dim, -1, 1, seed + 2);
  }

  bool sees(int64_t query, int64_t key) const {
    const int64_t last = options.causal ? query + keys - queries : keys - 1;
    return key <= last && (options.window == 0 || key > last - options.window);
  }

  void solve() {
    out.assign(static_cast<size_t>(batch * heads * queries * value_dim), 0);
    logsumexp.assign(static_cast<size_t>(batch * heads * queries), 0);
    visible = 0;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t i = 0; i < queries; ++i) solve_row(b, h, i);
      }
    }
  }

 private:
  void solve_row(int64_t b, int64_t h, int64_t i) {
    constexpr double kNever = -std::numeric_limits<double>::infinity();
    const int64_t row = (b * heads + h) * queries + i;
    const int64_t kv = (b * kv_heads + h / (heads / kv_heads)) * keys;
    std::vector<double> scores(static_cast<size_t>(keys), kNever);
    double peak = sinks.empty() ? kNever : sinks[static_cast<size_t>(h)];
    for (int64_t j = 0; j < keys; ++j) {
      if (!sees(i, j)) continue;
      ++visible;
      double dot = 0;
      for (int64_t d = 0; d < dim; ++d) dot += q[row * dim + d] * k[(kv + j) * dim + d];
      dot *= options.scale;
      if (options.soft_cap > 0) dot = options.soft_cap * std::tanh(dot / options.soft_cap);
      if (!mask.empty()) dot += mask[row * keys + j];
      scores[static_cast<size_t>(j)] = dot;
      peak = std::max(peak, dot);
    }
    logsumexp[static_cast<size_t>(row)] = kNever;
    if (peak == kNever) return;
    double total = sinks.empty() ? 0 : std::exp(sinks[static_cast<size_t>(h)] - peak);
    for (int64_t j = 0; j < keys; ++j) {
      const double weight = std::exp(scores[static_cast<size_t>(j)] - peak);
      total += weight;
      for (int64_t d = 0; d < value_dim; ++d) {
        out[row * value_dim + d] += weight * v[(kv + j) * value_dim + d];
      }
    }
    for (int64_t d = 0; d < value_dim; ++d) out[row * value_dim + d] /= total;
    logsumexp[static_cast<size_t>(row)] = peak + std::log(total);
  }
};

inline double attention_tolerance(npuDataType type) {
  return type == NPU_F64 ? 1e-12 : type == NPU_F32 ? 4e-6 : type == NPU_F16 ? 2e-3 : 1.2e-2;
}

}  // namespace npu::kernels::testing

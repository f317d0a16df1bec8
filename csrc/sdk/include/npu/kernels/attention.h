// Attention, rotary embedding and the paged KV cache.
#pragma once

#include "npu/kernels/tensor.h"

namespace npu::kernels {

struct AttentionOptions {
  double scale = 1.0;
  bool causal = false;  // query i of a sequence sees keys up to i + (kv_len - query_len)
  int64_t window = 0;   // > 0: only the last `window` visible keys (sliding window)
  double soft_cap = 0;  // > 0: scores = cap * tanh(scores / cap)
  Tensor sinks;         // [heads] f32/bf16 or undefined: one more logit in each row's softmax
};

// Dense attention. q [B, H, Lq, D], k [B, Hkv, Lk, D], v [B, Hkv, Lk, Dv], out [B, H, Lq, Dv], any
// strides with unit last stride; H a multiple of Hkv. `mask`: undefined, or bool (true: may attend)
// or floating (added), sizes [B, H, Lq, Lk], stride 0 broadcasts. Rows that see no key give 0 (and
// logsumexp -inf). `logsumexp` [B, H, Lq] f32 may be undefined.
npuStatus attention(const Tensor& out, const Tensor& logsumexp, const Tensor& q, const Tensor& k,
                    const Tensor& v, const Tensor& mask, const AttentionOptions& options,
                    npuStream stream);

// Varlen attention: q [T, H, D], k/v [Tkv, Hkv, D], out [T, H, Dv]; cu_seqlens_q and cu_seqlens_k
// [N + 1] i32 or i64.
npuStatus varlen_attention(const Tensor& out, const Tensor& q, const Tensor& k, const Tensor& v,
                           const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k,
                           int64_t max_query_len, const AttentionOptions& options,
                           npuStream stream);

// Paged attention over a mixed batch of prefill and decode: q and out [T, H, D]; k_cache and
// v_cache any strided views [blocks, block_size, kv_heads, head_dim] with unit last stride;
// block_table [N, max_blocks] i32/i64; cu_seqlens_q [N + 1]; kv_lens [N] (keys of each sequence,
// the present queries' included).
npuStatus paged_attention(const Tensor& out, const Tensor& q, const Tensor& k_cache,
                          const Tensor& v_cache, const Tensor& block_table,
                          const Tensor& cu_seqlens_q, const Tensor& kv_lens, int64_t max_query_len,
                          const AttentionOptions& options, npuStream stream);

// key, value [T, kv_heads, head_dim]; slot_mapping [T] i32/i64: slot = block * block_size + offset,
// negative slots are skipped. Of two tokens with one slot, which one stays is undefined.
npuStatus reshape_and_cache(const Tensor& k_cache, const Tensor& v_cache, const Tensor& key,
                            const Tensor& value, const Tensor& slot_mapping, npuStream stream);

// In place on q [T, H, D] and k [T, Hkv, D] (k may be undefined); positions [T] i32/i64;
// cos_sin_cache [max_position, rotary_dim]: cosines, then sines. neox: rotate halves, else pairs.
npuStatus rotary_embedding(const Tensor& q, const Tensor& k, const Tensor& positions,
                           const Tensor& cos_sin_cache, bool neox, npuStream stream);

// out [rows, d] = activation(x[:, :d]) * x[:, d:]; x [rows, 2 d]. gelu: exact, gelu_tanh: tanh
// form.
enum class GatedActivation { silu, gelu, gelu_tanh };
npuStatus gated_activation(GatedActivation op, const Tensor& out, const Tensor& x,
                           npuStream stream);

}  // namespace npu::kernels

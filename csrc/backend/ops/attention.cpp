// torch.ops.npu.flash_attention, paged_attention and reshape_and_cache.
#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty.h>
#include <npu/kernels/attention.h>
#include <torch/library.h>

#include <array>
#include <cmath>

#include "csrc/backend/ops/shapes.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;
using kernels::AttentionOptions;

void check_no_scales(std::string_view op, OptionalTensor k_scale, OptionalTensor v_scale) {
  TORCH_CHECK_NOT_IMPLEMENTED(!given(k_scale) && !given(v_scale), "npu::", op,
                              ": k_scale and v_scale are reserved for quantised caches, which are "
                              "not implemented yet");
}

void check_heads(std::string_view op, int64_t heads, int64_t kv_heads) {
  TORCH_CHECK(kv_heads > 0 && heads % kv_heads == 0, "npu::", op, ": ", heads,
              " query heads are no multiple of ", kv_heads, " key-value heads");
}

void check_options(std::string_view op, const Tensor& query, int64_t heads, int64_t window,
                   double soft_cap, OptionalTensor sinks) {
  TORCH_CHECK_VALUE(window >= 0, "npu::", op, ": window ", window, "; it must not be negative");
  TORCH_CHECK_VALUE(soft_cap >= 0, "npu::", op, ": soft_cap ", soft_cap,
                    "; it must not be negative");
  if (!given(sinks)) return;
  check_floating(op, "sinks", *sinks);
  check_sizes(op, "sinks", *sinks, {heads});
  check_same_device(op, {&query, &*sinks});
}

AttentionOptions options_of(const Tensor& query, std::optional<double> scale, bool causal,
                            int64_t window, double soft_cap, OptionalTensor sinks) {
  AttentionOptions options;
  options.scale = scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  options.causal = causal;
  options.window = window;
  options.soft_cap = soft_cap;
  options.sinks = to_kernel(sinks);
  return options;
}

// ---- flash_attention ----

struct Flash {
  const Tensor& query;
  const Tensor& key;
  const Tensor& value;
  OptionalTensor cu_seqlens_q;
  OptionalTensor cu_seqlens_k;

  bool varlen() const { return given(cu_seqlens_q); }

  std::array<int64_t, 4> scores() const {
    return {query.size(0), query.size(1), query.size(2), key.size(2)};
  }

  void check_mask(const Tensor& mask) const {
    if (mask.scalar_type() != at::kBool) check_floating("flash_attention", "mask", mask);
    TORCH_CHECK(at::is_expandable_to(mask.sizes(), scores()),
                "npu::flash_attention: mask of sizes ", mask.sizes(), " does not broadcast to ",
                at::IntArrayRef(scores()));
    check_same_device("flash_attention", {&query, &mask});
  }

  Tensor result(OptionalTensor mask, int64_t window, double soft_cap, OptionalTensor sinks) const {
    constexpr std::string_view kOp = "flash_attention";
    const int64_t dim = varlen() ? 3 : 4;
    constexpr int64_t kHeads = 1;  // the dimension, in both forms
    for (const auto& [name, tensor] : {std::pair<std::string_view, const Tensor&>{"query", query},
                                       {"key", key},
                                       {"value", value}}) {
      check_floating(kOp, name, tensor);
      check_dim(kOp, name, tensor, dim);
      check_same_dtype(kOp, name, tensor, query);
      check_unit_stride(kOp, name, tensor);
    }
    check_same_device(kOp, {&query, &key, &value});
    TORCH_CHECK(given(cu_seqlens_q) == given(cu_seqlens_k),
                "npu::flash_attention: cu_seqlens_q and cu_seqlens_k must be given together");
    check_heads(kOp, query.size(kHeads), key.size(kHeads));
    TORCH_CHECK(key.size(-1) == query.size(-1),
                "npu::flash_attention: head dimensions of query and key differ: ", query.sizes(),
                " and ", key.sizes());
    at::DimVector expected(key.sizes());
    expected.back() = value.size(-1);
    check_sizes(kOp, "value", value, expected);
    if (varlen()) {
      for (const auto& [name, tensor] :
           {std::pair<std::string_view, const Tensor&>{"cu_seqlens_q", *cu_seqlens_q},
            {"cu_seqlens_k", *cu_seqlens_k}}) {
        check_index(kOp, name, tensor);
        check_dim(kOp, name, tensor, 1);
        check_sizes(kOp, name, tensor, cu_seqlens_q->sizes());
        check_same_device(kOp, {&query, &tensor});
      }
      TORCH_CHECK(!given(mask), "npu::flash_attention: a mask needs the dense form");
    } else {
      TORCH_CHECK(query.size(0) == key.size(0),
                  "npu::flash_attention: batches of query and key differ: ", query.sizes(), " and ",
                  key.sizes());
      if (given(mask)) check_mask(*mask);
    }
    check_options(kOp, query, query.size(kHeads), window, soft_cap, sinks);
    at::DimVector sizes(query.sizes());
    sizes.back() = value.size(-1);
    return at::empty(sizes, query.options());
  }
};

Tensor flash_attention_meta(const Tensor& query, const Tensor& key, const Tensor& value,
                            OptionalTensor cu_seqlens_q, OptionalTensor cu_seqlens_k,
                            std::optional<int64_t> /*max_query_len*/, OptionalTensor mask,
                            std::optional<double> /*scale*/, bool /*causal*/, int64_t window,
                            double soft_cap, OptionalTensor sinks) {
  return Flash{query, key, value, cu_seqlens_q, cu_seqlens_k}.result(mask, window, soft_cap, sinks);
}

Tensor flash_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                       OptionalTensor cu_seqlens_q, OptionalTensor cu_seqlens_k,
                       std::optional<int64_t> max_query_len, OptionalTensor mask,
                       std::optional<double> scale, bool causal, int64_t window, double soft_cap,
                       OptionalTensor sinks) {
  const Flash call{query, key, value, cu_seqlens_q, cu_seqlens_k};
  Tensor out = call.result(mask, window, soft_cap, sinks);
  if (out.numel() == 0) return out;
  const AttentionOptions options = options_of(query, scale, causal, window, soft_cap, sinks);
  const npuStream stream = current_stream(query.device().index());
  if (call.varlen()) {
    NPU_CHECK(kernels::varlen_attention(to_kernel(out), to_kernel(query), to_kernel(key),
                                        to_kernel(value), to_kernel(*cu_seqlens_q),
                                        to_kernel(*cu_seqlens_k),
                                        max_query_len.value_or(query.size(0)), options, stream));
    return out;
  }
  kernels::Tensor mask_view;
  if (given(mask)) {
    mask_view = to_kernel(mask->expand(call.scores()));
  }
  NPU_CHECK(kernels::attention(to_kernel(out), {}, to_kernel(query), to_kernel(key),
                               to_kernel(value), mask_view, options, stream));
  return out;
}

// ---- paged_attention ----

void check_cache(std::string_view op, std::string_view name, const Tensor& cache) {
  check_floating(op, name, cache);
  check_dim(op, name, cache, 4);
  check_unit_stride(op, name, cache);
}

void check_paged(const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
                 const Tensor& block_table, const Tensor& cu_seqlens_q, const Tensor& kv_lens,
                 int64_t max_query_len, int64_t window, double soft_cap, OptionalTensor sinks,
                 OptionalTensor k_scale, OptionalTensor v_scale) {
  constexpr std::string_view kOp = "paged_attention";
  check_no_scales(kOp, k_scale, v_scale);
  check_floating(kOp, "query", query);
  check_dim(kOp, "query", query, 3);
  check_unit_stride(kOp, "query", query);
  check_cache(kOp, "key_cache", key_cache);
  check_cache(kOp, "value_cache", value_cache);
  check_same_dtype(kOp, "key_cache", key_cache, query);
  check_same_dtype(kOp, "value_cache", value_cache, query);
  TORCH_CHECK(key_cache.size(3) == query.size(2),
              "npu::paged_attention: head dimensions of query and key_cache differ: ",
              query.sizes(), " and ", key_cache.sizes());
  check_sizes(kOp, "value_cache", value_cache, key_cache.sizes());
  check_heads(kOp, query.size(1), key_cache.size(2));
  check_index(kOp, "block_table", block_table);
  check_dim(kOp, "block_table", block_table, 2);
  check_index(kOp, "cu_seqlens_q", cu_seqlens_q);
  check_index(kOp, "kv_lens", kv_lens);
  const int64_t sequences = block_table.size(0);
  check_sizes(kOp, "cu_seqlens_q", cu_seqlens_q, {sequences + 1});
  check_sizes(kOp, "kv_lens", kv_lens, {sequences});
  TORCH_CHECK_VALUE(max_query_len > 0, "npu::paged_attention: max_query_len ", max_query_len,
                    "; it must be positive");
  check_same_device(kOp, {&query, &key_cache, &value_cache, &block_table, &cu_seqlens_q, &kv_lens});
  check_options(kOp, query, query.size(1), window, soft_cap, sinks);
}

Tensor paged_attention_meta(const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
                            const Tensor& block_table, const Tensor& cu_seqlens_q,
                            const Tensor& kv_lens, int64_t max_query_len,
                            std::optional<double> /*scale*/, bool /*causal*/, int64_t window,
                            double soft_cap, OptionalTensor sinks, OptionalTensor k_scale,
                            OptionalTensor v_scale) {
  check_paged(query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens, max_query_len,
              window, soft_cap, sinks, k_scale, v_scale);
  return at::empty(query.sizes(), query.options());
}

void run_paged(const Tensor& out, const Tensor& query, const Tensor& key_cache,
               const Tensor& value_cache, const Tensor& block_table, const Tensor& cu_seqlens_q,
               const Tensor& kv_lens, int64_t max_query_len, const AttentionOptions& options) {
  if (out.numel() == 0) return;
  NPU_CHECK(kernels::paged_attention(to_kernel(out), to_kernel(query), to_kernel(key_cache),
                                     to_kernel(value_cache), to_kernel(block_table),
                                     to_kernel(cu_seqlens_q), to_kernel(kv_lens), max_query_len,
                                     options, current_stream(query.device().index())));
}

Tensor paged_attention(const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
                       const Tensor& block_table, const Tensor& cu_seqlens_q, const Tensor& kv_lens,
                       int64_t max_query_len, std::optional<double> scale, bool causal,
                       int64_t window, double soft_cap, OptionalTensor sinks,
                       OptionalTensor k_scale, OptionalTensor v_scale) {
  check_paged(query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens, max_query_len,
              window, soft_cap, sinks, k_scale, v_scale);
  Tensor out = at::empty(query.sizes(), query.options());
  run_paged(out, query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens, max_query_len,
            options_of(query, scale, causal, window, soft_cap, sinks));
  return out;
}

Tensor& paged_attention_out_meta(const Tensor& query, const Tensor& key_cache,
                                 const Tensor& value_cache, const Tensor& block_table,
                                 const Tensor& cu_seqlens_q, const Tensor& kv_lens,
                                 int64_t max_query_len, std::optional<double> /*scale*/,
                                 bool /*causal*/, int64_t window, double soft_cap,
                                 OptionalTensor sinks, OptionalTensor k_scale,
                                 OptionalTensor v_scale, Tensor& out) {
  constexpr std::string_view kOp = "paged_attention";
  check_paged(query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens, max_query_len,
              window, soft_cap, sinks, k_scale, v_scale);
  check_sizes(kOp, "out", out, query.sizes());
  check_same_dtype(kOp, "out", out, query);
  check_unit_stride(kOp, "out", out);
  check_same_device(kOp, {&query, &out});
  return out;
}

Tensor& paged_attention_out(const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
                            const Tensor& block_table, const Tensor& cu_seqlens_q,
                            const Tensor& kv_lens, int64_t max_query_len,
                            std::optional<double> scale, bool causal, int64_t window,
                            double soft_cap, OptionalTensor sinks, OptionalTensor k_scale,
                            OptionalTensor v_scale, Tensor& out) {
  paged_attention_out_meta(query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens,
                           max_query_len, scale, causal, window, soft_cap, sinks, k_scale, v_scale,
                           out);
  run_paged(out, query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens, max_query_len,
            options_of(query, scale, causal, window, soft_cap, sinks));
  return out;
}

// ---- reshape_and_cache ----

void reshape_and_cache_meta(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                            const Tensor& value_cache, const Tensor& slot_mapping,
                            OptionalTensor k_scale, OptionalTensor v_scale) {
  constexpr std::string_view kOp = "reshape_and_cache";
  check_no_scales(kOp, k_scale, v_scale);
  check_cache(kOp, "key_cache", key_cache);
  check_cache(kOp, "value_cache", value_cache);
  check_floating(kOp, "key", key);
  check_floating(kOp, "value", value);
  check_index(kOp, "slot_mapping", slot_mapping);
  check_dim(kOp, "slot_mapping", slot_mapping, 1);
  check_dim(kOp, "key", key, 3);
  // vLLM pads its batches: more tokens than slots are allowed, the rest is not written.
  TORCH_CHECK(key.size(0) >= slot_mapping.size(0), "npu::reshape_and_cache: ", slot_mapping.size(0),
              " slots for key of sizes ", key.sizes());
  check_sizes(kOp, "key", key, {key.size(0), key_cache.size(2), key_cache.size(3)});
  check_sizes(kOp, "value", value, {key.size(0), value_cache.size(2), value_cache.size(3)});
  check_same_device(kOp, {&key, &value, &key_cache, &value_cache, &slot_mapping});
}

void reshape_and_cache(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                       const Tensor& value_cache, const Tensor& slot_mapping,
                       OptionalTensor k_scale, OptionalTensor v_scale) {
  reshape_and_cache_meta(key, value, key_cache, value_cache, slot_mapping, k_scale, v_scale);
  const int64_t slots = slot_mapping.size(0);
  if (slots == 0 || key.numel() == 0) return;
  NPU_CHECK(kernels::reshape_and_cache(
      to_kernel(key_cache), to_kernel(value_cache), to_kernel(key.narrow(0, 0, slots)),
      to_kernel(value.narrow(0, 0, slots)), to_kernel(slot_mapping),
      current_stream(key.device().index())));
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, PrivateUse1, m) {
  m.impl("flash_attention", &flash_attention);
  m.impl("paged_attention", &paged_attention);
  m.impl("paged_attention.out", &paged_attention_out);
  m.impl("reshape_and_cache", &reshape_and_cache);
}
TORCH_LIBRARY_IMPL(npu, Meta, m) {
  m.impl("flash_attention", &flash_attention_meta);
  m.impl("paged_attention", &paged_attention_meta);
  m.impl("paged_attention.out", &paged_attention_out_meta);
  m.impl("reshape_and_cache", &reshape_and_cache_meta);
}

}  // namespace npu::backend

// torch.ops.npu.rotary_embedding: in place on queries and keys.
#include <npu/kernels/attention.h>
#include <torch/library.h>

#include "csrc/backend/ops/shapes.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

using at::Tensor;

// [tokens, heads, head_size] of [..., heads * head_size] or [..., heads, head_size], as a view.
Tensor heads_of(std::string_view name, const Tensor& x, int64_t head_size, int64_t tokens) {
  TORCH_CHECK(head_size > 0 && x.dim() >= 1 && x.size(-1) % head_size == 0,
              "npu::rotary_embedding: the last dimension of ", name, " (sizes ", x.sizes(),
              ") is no multiple of head_size ", head_size);
  const auto rows = [&x](int64_t inner) {
    return c10::multiply_integers(x.sizes().slice(0, x.dim() - inner));
  };
  const bool separate = x.dim() >= 2 && x.size(-1) == head_size && rows(2) == tokens;
  TORCH_CHECK(separate || rows(1) == tokens, "npu::rotary_embedding: ", name, " of sizes ",
              x.sizes(), " does not hold ", tokens, " tokens of heads of ", head_size);
  check_unit_stride("rotary_embedding", name, x);
  return x.view({tokens, separate ? x.size(-2) : x.size(-1) / head_size, head_size});
}

void check_arguments(const Tensor& positions, const Tensor& query, const std::optional<Tensor>& key,
                     int64_t head_size, const Tensor& cos_sin_cache) {
  check_index("rotary_embedding", "positions", positions);
  check_floating("rotary_embedding", "query", query);
  check_floating("rotary_embedding", "cos_sin_cache", cos_sin_cache);
  check_dim("rotary_embedding", "cos_sin_cache", cos_sin_cache, 2);
  const int64_t rotary = cos_sin_cache.size(1);
  TORCH_CHECK(rotary % 2 == 0 && rotary <= head_size,
              "npu::rotary_embedding: cos_sin_cache of sizes ", cos_sin_cache.sizes(),
              "; its width must be even and at most head_size ", head_size);
  check_same_device("rotary_embedding", {&positions, &query, &cos_sin_cache});
  const int64_t tokens = c10::multiply_integers(positions.sizes());
  heads_of("query", query, head_size, tokens);
  if (key.has_value() && key->defined()) {
    check_same_dtype("rotary_embedding", "key", *key, query);
    check_same_device("rotary_embedding", {&query, &*key});
    heads_of("key", *key, head_size, tokens);
  }
}

void rotary_embedding_meta(const Tensor& positions, const Tensor& query,
                           const std::optional<Tensor>& key, int64_t head_size,
                           const Tensor& cos_sin_cache, bool /*is_neox*/) {
  check_arguments(positions, query, key, head_size, cos_sin_cache);
}

void rotary_embedding(const Tensor& positions, const Tensor& query,
                      const std::optional<Tensor>& key, int64_t head_size,
                      const Tensor& cos_sin_cache, bool is_neox) {
  check_arguments(positions, query, key, head_size, cos_sin_cache);
  const Tensor flat = positions.reshape({-1});
  const int64_t tokens = flat.numel();
  if (tokens == 0) return;
  const kernels::Tensor q = to_kernel(heads_of("query", query, head_size, tokens));
  const kernels::Tensor k = key.has_value() && key->defined()
                                ? to_kernel(heads_of("key", *key, head_size, tokens))
                                : kernels::Tensor();
  NPU_CHECK(kernels::rotary_embedding(q, k, to_kernel(flat), to_kernel(cos_sin_cache), is_neox,
                                      current_stream(query.device().index())));
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, PrivateUse1, m) { m.impl("rotary_embedding", &rotary_embedding); }
TORCH_LIBRARY_IMPL(npu, Meta, m) { m.impl("rotary_embedding", &rotary_embedding_meta); }

}  // namespace npu::backend

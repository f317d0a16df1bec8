// scaled_dot_product_attention: PyTorch asks which implementation to take and calls its
// "overrideable" one, which is the SDK's attention kernel.
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <ATen/ops/_fused_sdp_choice_native.h>
#include <ATen/ops/_scaled_dot_product_fused_attention_overrideable_native.h>
#include <ATen/ops/empty.h>
#include <npu/kernels/attention.h>

#include <cmath>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"

namespace npu::backend {
namespace {

using at::Tensor;

bool wants_grad(const Tensor& query, const Tensor& key, const Tensor& value) {
  return at::GradMode::is_enabled() &&
         (query.requires_grad() || key.requires_grad() || value.requires_grad());
}

// Whether one launch computes it; otherwise the composite of products and softmax does, which is
// differentiable and covers everything.
bool fits_kernel(const Tensor& query, const Tensor& key, const Tensor& value, double dropout_p,
                 bool is_causal, bool enable_gqa) {
  const auto type = query.scalar_type();
  const bool types = (type == at::kFloat || type == at::kBFloat16 || type == at::kHalf) &&
                     key.scalar_type() == type && value.scalar_type() == type;
  if (!types || dropout_p != 0 || wants_grad(query, key, value)) return false;
  if (query.dim() != 4 || key.dim() != 4 || value.dim() != 4) return false;
  if (query.size(-1) != key.size(-1) || query.numel() == 0 || key.numel() == 0) return false;
  const bool same_batch = query.size(0) == key.size(0) && query.size(0) == value.size(0);
  const bool heads =
      key.size(1) == value.size(1) &&
      (key.size(1) == query.size(1) || (enable_gqa && query.size(1) % key.size(1) == 0));
  // is_causal counts from the first key, the kernel from the last: the same for equal lengths.
  const bool causal = !is_causal || query.size(2) == key.size(2);
  return same_batch && heads && causal && value.numel() != 0;
}

int64_t sdp_choice(const Tensor& query, const Tensor& key, const Tensor& value,
                   const std::optional<Tensor>& /*mask*/, double dropout_p, bool is_causal,
                   std::optional<double> /*scale*/, bool enable_gqa) {
  return static_cast<int64_t>(fits_kernel(query, key, value, dropout_p, is_causal, enable_gqa)
                                  ? at::SDPBackend::overrideable
                                  : at::SDPBackend::math);
}

// The kernel reads rows of unit stride.
Tensor with_unit_rows(const Tensor& tensor) {
  return tensor.size(-1) == 1 || tensor.stride(-1) == 1 ? tensor : tensor.contiguous();
}

std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>
attention(const Tensor& query, const Tensor& key, const Tensor& value,
          const std::optional<Tensor>& bias, double dropout_p, bool is_causal,
          bool /*return_debug_mask*/, std::optional<double> scale) {
  TORCH_CHECK_NOT_IMPLEMENTED(dropout_p == 0, "npu: fused attention with dropout");
  const int64_t batch = query.size(0);
  const int64_t heads = query.size(1);
  const int64_t queries = query.size(2);
  const int64_t keys = key.size(2);
  // [B, L, H, D] in memory, as the callers' transpose back wants it.
  Tensor out = at::empty({batch, queries, heads, value.size(-1)}, query.options()).transpose(1, 2);
  Tensor logsumexp = at::empty({batch, heads, queries}, query.options().dtype(at::kFloat));

  kernels::AttentionOptions options;
  options.scale = scale.value_or(1 / std::sqrt(static_cast<double>(query.size(-1))));
  options.causal = is_causal;
  kernels::Tensor mask;
  if (bias.has_value() && bias->defined()) {
    mask = to_kernel(bias->expand({batch, heads, queries, keys}));
  }
  NPU_CHECK(kernels::attention(to_kernel(out), to_kernel(logsumexp),
                               to_kernel(with_unit_rows(query)), to_kernel(with_unit_rows(key)),
                               to_kernel(with_unit_rows(value)), mask, options,
                               current_stream(query.device().index())));
  return {out, logsumexp, Tensor(), Tensor(), queries, keys, Tensor(), Tensor(), Tensor()};
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &npu::backend::sdp_choice)

}  // namespace at::native

namespace npu::backend {

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"_fused_sdp_choice", &sdp_choice>(m);
  impl<"_scaled_dot_product_fused_attention_overrideable", &attention>(m);
}

}  // namespace npu::backend

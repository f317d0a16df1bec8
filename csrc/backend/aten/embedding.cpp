// The gradient of embedding, whose forward is index_select.
#include <ATen/ops/_unique2.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/views.h"

namespace npu::backend {
namespace {

using at::Tensor;

Tensor embedding_dense_backward(const Tensor& grad, const Tensor& indices, int64_t num_weights,
                                int64_t padding_idx, bool scale_grad_by_freq) {
  const int64_t width = grad.size(-1);
  const Tensor index = indices.reshape(-1);
  Tensor rows = grad.reshape({-1, width});
  if (scale_grad_by_freq && index.numel() > 0) {
    const Tensor counts = at::bincount(index, {}, num_weights);
    rows = rows.div(counts.index_select(0, index).unsqueeze(1)).to(grad.scalar_type());
  }
  if (padding_idx >= 0) rows = at::where(index.eq(padding_idx).unsqueeze(1), 0, rows);
  Tensor result = at::zeros({num_weights, width}, grad.options());
  return result.index_add_(0, index, rows.to(grad.scalar_type()));
}

// Rows that are looked up and longer than `max_norm` are shortened to it.
Tensor& embedding_renorm(Tensor& self, const Tensor& indices, double max_norm, double norm_type) {
  const Tensor index = std::get<0>(at::_unique2(indices.reshape(-1)));
  if (index.numel() == 0) return self;
  const Tensor rows = self.index_select(0, index);
  const Tensor norms = at::linalg_vector_norm(rows, norm_type, 1, true);
  constexpr double kSmall = 1e-7;
  const Tensor scale = norms.add(kSmall).reciprocal_().mul_(max_norm);
  self.index_copy_(0, index, at::where(norms.gt(max_norm), rows.mul(scale), rows));
  return self;
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"embedding_dense_backward", &embedding_dense_backward>(m);
  impl<"embedding_renorm_", &embedding_renorm>(m);
}

}  // namespace
}  // namespace npu::backend

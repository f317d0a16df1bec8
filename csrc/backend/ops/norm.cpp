// torch.ops.npu.rms_norm and fused_add_rms_norm.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <npu/kernels/reduce.h>
#include <torch/library.h>

#include "csrc/backend/ops/shapes.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

using at::Tensor;
using Weight = const std::optional<Tensor>&;

void check_norm(std::string_view op, const Tensor& x, Weight weight) {
  check_floating(op, "x", x);
  TORCH_CHECK(x.dim() >= 1, "npu::", op, ": expected x to have at least 1 dimension");
  if (weight.has_value() && weight->defined()) {
    check_floating(op, "weight", *weight);
    check_sizes(op, "weight", *weight, {x.size(-1)});
    check_same_device(op, {&x, &*weight});
  }
}

// [rows, cols] of unit last stride; a copy only where it is no such view.
Tensor rows_of(const Tensor& x) {
  const Tensor rows = x.reshape({-1, x.size(-1)});
  return rows.size(-1) == 1 || rows.stride(-1) == 1 ? rows : rows.contiguous();
}

// The kernel wants unit stride. The copy, if any, must live until the launch is queued.
std::optional<Tensor> dense(Weight weight) {
  if (!weight.has_value() || !weight->defined()) return std::nullopt;
  return weight->contiguous();
}

Tensor rms_norm_meta(const Tensor& x, Weight weight, double /*eps*/, double /*weight_offset*/) {
  check_norm("rms_norm", x, weight);
  return at::empty_like(x, at::MemoryFormat::Contiguous);
}

Tensor rms_norm(const Tensor& x, Weight weight, double eps, double weight_offset) {
  Tensor y = rms_norm_meta(x, weight, eps, weight_offset);
  if (x.numel() == 0) return y;
  NPU_CHECK(kernels::rms_norm(to_kernel(rows_of(y)), to_kernel(rows_of(x)),
                              to_kernel(dense(weight)), eps, weight_offset,
                              current_stream(x.device().index())));
  return y;
}

Tensor fused_add_rms_norm_meta(const Tensor& x, const Tensor& residual, Weight weight,
                               double /*eps*/, double /*weight_offset*/) {
  check_norm("fused_add_rms_norm", x, weight);
  check_sizes("fused_add_rms_norm", "residual", residual, x.sizes());
  check_same_dtype("fused_add_rms_norm", "residual", residual, x);
  check_unit_stride("fused_add_rms_norm", "residual", residual);
  check_same_device("fused_add_rms_norm", {&x, &residual});
  return at::empty_like(x, at::MemoryFormat::Contiguous);
}

Tensor fused_add_rms_norm(const Tensor& x, const Tensor& residual, Weight weight, double eps,
                          double weight_offset) {
  Tensor y = fused_add_rms_norm_meta(x, residual, weight, eps, weight_offset);
  if (x.numel() == 0) return y;
  // residual is written: it must be seen as rows without a copy.
  const Tensor residual_rows = residual.view({-1, residual.size(-1)});
  NPU_CHECK(kernels::fused_add_rms_norm(to_kernel(rows_of(y)), to_kernel(residual_rows),
                                        to_kernel(rows_of(x)), to_kernel(dense(weight)), eps,
                                        weight_offset, current_stream(x.device().index())));
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, PrivateUse1, m) {
  m.impl("rms_norm", &rms_norm);
  m.impl("fused_add_rms_norm", &fused_add_rms_norm);
}
TORCH_LIBRARY_IMPL(npu, Meta, m) {
  m.impl("rms_norm", &rms_norm_meta);
  m.impl("fused_add_rms_norm", &fused_add_rms_norm_meta);
}

}  // namespace npu::backend

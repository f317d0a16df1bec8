// Normalisations over the last dimensions.
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/native/layer_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_layer_norm_native.h>
#include <npu/kernels/reduce.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <vector>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"

namespace npu::backend {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

Tensor flat(OptionalTensor weight) {
  return weight.has_value() && weight->defined() ? weight->contiguous().view({-1}) : Tensor();
}

kernels::Tensor optional_to_kernel(const Tensor& tensor) {
  return tensor.defined() ? to_kernel(tensor) : kernels::Tensor();
}

// The sizes of what there is one of for each row: PyTorch keeps the normalised dimensions as ones.
at::DimVector statistics_of(const Tensor& input, at::IntArrayRef normalized_shape) {
  at::DimVector sizes(input.sizes().begin(), input.sizes().end());
  std::fill(sizes.end() - static_cast<int64_t>(normalized_shape.size()), sizes.end(), 1);
  return sizes;
}

std::tuple<Tensor, Tensor, Tensor> layer_norm(const Tensor& input, at::IntArrayRef normalized_shape,
                                              OptionalTensor weight, OptionalTensor bias,
                                              double eps) {
  const Tensor undefined;
  const auto [rows, cols] = at::native::_check_layer_norm_inputs(
      input, normalized_shape, weight.has_value() ? *weight : undefined,
      bias.has_value() ? *bias : undefined);
  const Tensor x = input.contiguous();
  Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
  const at::DimVector statistics = statistics_of(input, normalized_shape);
  const auto type = at::toOpMathType(input.scalar_type());
  const bool mixed =
      weight.has_value() && weight->defined() && weight->scalar_type() != input.scalar_type();
  const auto options = input.options().dtype(mixed ? type : input.scalar_type());
  Tensor mean = at::empty(statistics, options);
  Tensor rstd = at::empty(statistics, options);
  if (rows == 0 || cols == 0) return {y, mean, rstd};
  const auto as_rows = [&](const Tensor& tensor) { return to_kernel(tensor.view({rows, cols})); };
  const Tensor scale = flat(weight);
  const Tensor shift = flat(bias);
  NPU_CHECK(kernels::layer_norm(as_rows(y), to_kernel(mean.view({rows})),
                                to_kernel(rstd.view({rows})), as_rows(x), optional_to_kernel(scale),
                                optional_to_kernel(shift), eps,
                                current_stream(input.device().index())));
  return {y, mean, rstd};
}

std::tuple<Tensor, Tensor> rms_norm(const Tensor& input, at::IntArrayRef normalized_shape,
                                    OptionalTensor weight, std::optional<double> eps) {
  TORCH_CHECK_NOT_IMPLEMENTED(at::isFloatingType(input.scalar_type()),
                              "\"rms_norm\" not implemented for '", input.scalar_type(), "'");
  const auto [rows, cols] = at::native::_check_layer_norm_inputs(
      input, normalized_shape, weight.has_value() ? *weight : Tensor(), Tensor());
  const Tensor x = input.contiguous();
  const auto type = at::toOpMathType(input.scalar_type());
  Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
  Tensor rstd = at::empty(statistics_of(input, normalized_shape), input.options().dtype(type));
  if (rows == 0 || cols == 0) return {y, rstd};
  const double least = type == at::kDouble ? std::numeric_limits<double>::epsilon()
                                           : std::numeric_limits<float>::epsilon();
  const auto as_rows = [&](const Tensor& tensor) { return to_kernel(tensor.view({rows, cols})); };
  NPU_CHECK(kernels::rms_norm(as_rows(y), as_rows(x), optional_to_kernel(flat(weight)),
                              eps.value_or(least), 0, current_stream(input.device().index()),
                              to_kernel(rstd.view({rows}))));
  return {y, rstd};
}

// With h = x * rstd and g = grad * weight: dx = rstd * (g - h * mean(g * h)), dweight = sum of
// grad * h over the rows.
std::tuple<Tensor, Tensor> rms_norm_backward(const Tensor& grad, const Tensor& input,
                                             at::IntArrayRef normalized_shape, const Tensor& rstd,
                                             OptionalTensor weight, std::array<bool, 2> mask) {
  const auto type = at::toOpMathType(input.scalar_type());
  const bool has_weight = weight.has_value() && weight->defined();
  const auto normalized = static_cast<int64_t>(normalized_shape.size());
  std::vector<int64_t> rows(input.dim() - normalized), columns(normalized);
  std::iota(rows.begin(), rows.end(), 0);
  std::iota(columns.begin(), columns.end(), input.dim() - normalized);
  const Tensor grad_wide = grad.to(type);
  const Tensor normed = input.to(type) * rstd;
  Tensor grad_input, grad_weight;
  if (mask[0]) {
    const Tensor scaled = has_weight ? grad_wide * *weight : grad_wide;
    const Tensor mean = (scaled * normed).mean(columns, /*keepdim=*/true);
    grad_input = (rstd * (scaled - normed * mean)).to(input.scalar_type());
  }
  if (mask[1] && has_weight) {
    const Tensor product = grad_wide * normed;
    grad_weight = (rows.empty() ? product : product.sum(rows)).to(weight->scalar_type());
  }
  return {grad_input, grad_weight};
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"native_layer_norm", &layer_norm>(m);
  impl<"_fused_rms_norm", &rms_norm>(m);
  impl<"_fused_rms_norm_backward", &rms_norm_backward>(m);
}

}  // namespace npu::backend

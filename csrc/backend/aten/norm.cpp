// Normalisations over the last dimensions.
#include <ATen/OpMathType.h>
#include <ATen/native/layer_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_layer_norm_native.h>
#include <npu/kernels/reduce.h>

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

std::tuple<Tensor, Tensor, Tensor> layer_norm(const Tensor& input, at::IntArrayRef normalized_shape,
                                              OptionalTensor weight, OptionalTensor bias,
                                              double eps) {
  const Tensor undefined;
  const auto [rows, cols] = at::native::_check_layer_norm_inputs(
      input, normalized_shape, weight.has_value() ? *weight : undefined,
      bias.has_value() ? *bias : undefined);
  const Tensor x = input.contiguous();
  Tensor y = at::empty_like(x, at::MemoryFormat::Contiguous);
  // One mean for each row; PyTorch keeps the normalised dimensions as ones.
  at::DimVector statistics(input.sizes().begin(), input.sizes().end());
  const auto kept = input.dim() - static_cast<int64_t>(normalized_shape.size());
  for (int64_t d = kept; d < input.dim(); ++d) statistics[d] = 1;
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

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) { impl<"native_layer_norm", &layer_norm>(m); }

}  // namespace npu::backend

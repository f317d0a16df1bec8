// Convolution has entry points of its own for backends from outside, which the fallback for every
// operator cannot serve: the CPU knows them under another name.
#include <ATen/core/Tensor.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <torch/library.h>

#include <array>

#include "csrc/backend/fallback/fallback.h"

namespace npu::backend {
namespace {

std::optional<at::Tensor> to_cpu(const std::optional<at::Tensor>& tensor) {
  return tensor && tensor->defined() ? std::optional(tensor->cpu()) : std::nullopt;
}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef output_padding, int64_t groups) {
  record_fallback("aten::convolution_overrideable");
  return at::convolution(input.cpu(), weight.cpu(), to_cpu(bias), stride, padding, dilation,
                         transposed, output_padding, groups)
      .to(input.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& grad_output, const at::Tensor& input, const at::Tensor& weight,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
    at::IntArrayRef output_padding, int64_t groups, std::array<bool, 3> output_mask) {
  record_fallback("aten::convolution_backward_overrideable");
  const std::array<int64_t, 1> bias_sizes = {transposed ? weight.size(1) * groups : weight.size(0)};
  const auto [grad_input, grad_weight, grad_bias] = at::convolution_backward(
      grad_output.cpu(), input.cpu(), weight.cpu(), at::OptionalIntArrayRef(bias_sizes), stride,
      padding, dilation, transposed, output_padding, groups, output_mask);
  const auto back = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(input.device()) : tensor;
  };
  return {back(grad_input), back(grad_weight), back(grad_bias)};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("convolution_overrideable", convolution);
  library.impl("convolution_backward_overrideable", convolution_backward);
}

}  // namespace
}  // namespace npu::backend

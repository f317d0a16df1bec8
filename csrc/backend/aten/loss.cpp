// Binary cross entropy, which clamps its logarithms.
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Reduction.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log1p.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"

namespace npu::backend {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;

constexpr double kLeastLogarithm = -100;  // PyTorch's, so that the loss stays finite
constexpr double kLeastVariance = 1e-12;

Tensor widened(const Tensor& tensor) { return tensor.to(at::toOpMathType(tensor.scalar_type())); }

Tensor reduced(const Tensor& loss, int64_t reduction) {
  if (reduction == at::Reduction::Mean) return loss.mean();
  return reduction == at::Reduction::Sum ? loss.sum() : loss;
}

Tensor binary_loss(const Tensor& self, const Tensor& target, OptionalTensor weight,
                   int64_t reduction) {
  const Tensor x = widened(self);
  const Tensor t = widened(target);
  Tensor loss = (t - 1) * at::clamp_min(at::log1p(-x), kLeastLogarithm) -
                t * at::clamp_min(at::log(x), kLeastLogarithm);
  if (weight.has_value() && weight->defined()) loss = loss * widened(*weight);
  return reduced(loss, reduction).to(self.scalar_type());
}

Tensor& binary_loss_out(const Tensor& self, const Tensor& target, OptionalTensor weight,
                        int64_t reduction, Tensor& out) {
  const Tensor loss = binary_loss(self, target, weight, reduction);
  at::native::resize_output(out, loss.sizes());
  return out.copy_(loss);
}

Tensor binary_loss_backward(const Tensor& grad, const Tensor& self, const Tensor& target,
                            OptionalTensor weight, int64_t reduction) {
  const Tensor x = widened(self);
  Tensor slope = (x - widened(target)) / at::clamp_min((1 - x) * x, kLeastVariance);
  if (weight.has_value() && weight->defined()) slope = slope * widened(*weight);
  slope = slope * widened(grad);
  if (reduction == at::Reduction::Mean) slope = slope / self.numel();
  return slope.to(self.scalar_type());
}

Tensor& binary_loss_backward_out(const Tensor& grad, const Tensor& self, const Tensor& target,
                                 OptionalTensor weight, int64_t reduction, Tensor& out) {
  const Tensor slope = binary_loss_backward(grad, self, target, weight, reduction);
  at::native::resize_output(out, slope.sizes());
  return out.copy_(slope);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"binary_cross_entropy", &binary_loss>(m);
  impl<"binary_cross_entropy.out", &binary_loss_out>(m);
  impl<"binary_cross_entropy_backward", &binary_loss_backward>(m);
  impl<"binary_cross_entropy_backward.grad_input", &binary_loss_backward_out>(m);
}

}  // namespace
}  // namespace npu::backend

// Negative log likelihood: gathers the scores of the targets, scatters their gradients. Dimension 1
// holds the classes, for pixels (the 2d forms) as for vectors.
#include <ATen/OpMathType.h>
#include <ATen/core/Reduction.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nll_loss_backward_meta.h>
#include <ATen/ops/nll_loss_forward_meta.h>
#include <ATen/ops/ones.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"
#include "csrc/backend/aten/views.h"

namespace npu::backend {
namespace {

using at::Tensor;

// 16-bit scores are summed in 32 bits.
Tensor widened(const Tensor& tensor) { return tensor.to(at::toOpMathType(tensor.scalar_type())); }

// Of every target.
struct Targets {
  Tensor ignored;
  Tensor place;   // class; 0 where ignored
  Tensor weight;  // 0 where ignored
};

Targets read_targets(const Tensor& target, const Tensor& weight, int64_t ignore_index,
                     const at::TensorOptions& options) {
  Targets targets;
  targets.ignored = target.eq(ignore_index);
  targets.place = target.to(at::kLong).masked_fill(targets.ignored, 0);
  targets.weight =
      weight.defined()
          ? at::index_select(widened(weight), 0, targets.place.reshape(-1)).view(target.sizes())
          : at::ones(target.sizes(), options);
  targets.weight.masked_fill_(targets.ignored, 0);
  return targets;
}

void forward(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction,
             int64_t ignore_index, const Tensor& output, const Tensor& total_weight) {
  const Targets targets = read_targets(target, weight, ignore_index,
                                       self.options().dtype(at::toOpMathType(self.scalar_type())));
  const Tensor scores = widened(at::gather(self, 1, targets.place.unsqueeze(1)).squeeze(1));
  const Tensor losses = scores.mul(targets.weight).neg_().masked_fill_(targets.ignored, 0);
  if (reduction == at::Reduction::None) {
    output.copy_(losses.view(output.sizes()));
    total_weight.zero_();
    return;
  }
  const Tensor total = targets.weight.sum();
  total_weight.copy_(total);
  const Tensor sum = losses.sum();
  output.copy_(reduction == at::Reduction::Mean ? sum.div(total) : sum);
}

void backward(const Tensor& grad_output, const Tensor& target, const Tensor& weight,
              int64_t reduction, int64_t ignore_index, const Tensor& total_weight,
              const Tensor& grad_input) {
  const auto type = at::toOpMathType(grad_input.scalar_type());
  const Targets targets =
      read_targets(target, weight, ignore_index, grad_input.options().dtype(type));
  Tensor grad = grad_output;
  if (reduction == at::Reduction::None) grad = grad.view(target.sizes());
  if (reduction == at::Reduction::Mean) grad = grad.div(total_weight);
  const Tensor values = targets.weight.mul(grad).neg_().masked_fill_(targets.ignored, 0);
  grad_input.zero_();
  grad_input.scatter_(1, targets.place.unsqueeze(1),
                      values.unsqueeze(1).to(grad_input.scalar_type()));
}

Tensor tensor_or_none(at::OptionalTensorRef tensor) {
  return tensor.has_value() ? *tensor : Tensor();
}

// One sample may come without a batch dimension.
Tensor batched(const Tensor& scores) { return scores.dim() == 1 ? scores.unsqueeze(0) : scores; }

struct Forward : at::meta::structured_nll_loss_forward {
  void impl(const Tensor& self, const Tensor& target, at::OptionalTensorRef weight,
            int64_t reduction, int64_t ignore_index, const Tensor& output,
            const Tensor& total_weight) {
    forward(batched(self), as_vector(target), tensor_or_none(weight), reduction, ignore_index,
            output, total_weight);
  }
};

struct Backward : at::meta::structured_nll_loss_backward {
  void impl(const Tensor& grad_output, const Tensor& /*self*/, const Tensor& target,
            at::OptionalTensorRef weight, int64_t reduction, int64_t ignore_index,
            const Tensor& total_weight, const Tensor& grad_input) {
    backward(grad_output, as_vector(target), tensor_or_none(weight), reduction, ignore_index,
             total_weight, batched(grad_input));
  }
};

// ---- Pixels -------------------------------------------------------------------------------------

using OptionalTensor = const std::optional<Tensor>&;

void check_pixels(const Tensor& self, const Tensor& target, OptionalTensor weight) {
  TORCH_CHECK(target.dim() == 3, "only batches of spatial targets supported (3D tensors) but got ",
              "targets of dimension: ", target.dim());
  TORCH_CHECK(self.dim() == 4, "only batches of spatial inputs supported (4D tensors), but got ",
              "input of dimension: ", self.dim());
  TORCH_CHECK(!weight.has_value() || !weight->defined() || weight->numel() == self.size(1),
              "weight tensor should be defined either for all or no classes");
  TORCH_CHECK(self.size(0) == target.size(0) && self.size(2) == target.size(1) &&
                  self.size(3) == target.size(2),
              "size mismatch (got input: ", self.sizes(), " , target: ", target.sizes());
}

std::tuple<Tensor&, Tensor&> forward2d_out(const Tensor& self, const Tensor& target,
                                           OptionalTensor weight, int64_t reduction,
                                           int64_t ignore_index, Tensor& output,
                                           Tensor& total_weight) {
  check_pixels(self, target, weight);
  const bool each = reduction == at::Reduction::None;
  at::native::resize_output(output, each ? target.sizes() : at::IntArrayRef());
  at::native::resize_output(total_weight, {});
  forward(self, target, weight.value_or(Tensor()), reduction, ignore_index, output, total_weight);
  return {output, total_weight};
}

std::tuple<Tensor, Tensor> forward2d(const Tensor& self, const Tensor& target,
                                     OptionalTensor weight, int64_t reduction,
                                     int64_t ignore_index) {
  Tensor output = at::empty({0}, self.options());
  Tensor total_weight = at::empty({}, self.options());
  forward2d_out(self, target, weight, reduction, ignore_index, output, total_weight);
  return {output, total_weight};
}

Tensor& backward2d_out(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                       OptionalTensor weight, int64_t reduction, int64_t ignore_index,
                       const Tensor& total_weight, Tensor& grad_input) {
  check_pixels(self, target, weight);
  at::native::resize_output(grad_input, self.sizes());
  backward(grad_output, target, weight.value_or(Tensor()), reduction, ignore_index, total_weight,
           grad_input);
  return grad_input;
}

Tensor backward2d(const Tensor& grad_output, const Tensor& self, const Tensor& target,
                  OptionalTensor weight, int64_t reduction, int64_t ignore_index,
                  const Tensor& total_weight) {
  Tensor grad_input = at::empty(self.sizes(), self.options());
  return backward2d_out(grad_output, self, target, weight, reduction, ignore_index, total_weight,
                        grad_input);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<Forward, "nll_loss_forward", "nll_loss_forward.output">(m);
  structured<Backward, "nll_loss_backward", "nll_loss_backward.grad_input">(m);
  impl<"nll_loss2d_forward", &forward2d>(m);
  impl<"nll_loss2d_forward.output", &forward2d_out>(m);
  impl<"nll_loss2d_backward", &backward2d>(m);
  impl<"nll_loss2d_backward.grad_input", &backward2d_out>(m);
}

}  // namespace
}  // namespace npu::backend

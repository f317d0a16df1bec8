// Batch and group normalisation, composed of reductions and element-wise ops. They compute in the
// type that PyTorch accumulates in and round once.
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/var_mean.h>

#include "csrc/backend/aten/native.h"

namespace npu::backend {
namespace {

using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;
using Triple = std::tuple<Tensor, Tensor, Tensor>;

Tensor defined_or_empty(OptionalTensor tensor) { return tensor.value_or(Tensor()); }

// Statistics are in the input's type unless a parameter is in a wider one.
at::ScalarType statistics_type(const Tensor& input, std::initializer_list<Tensor> parameters) {
  for (const Tensor& parameter : parameters) {
    if (parameter.defined() && parameter.scalar_type() != input.scalar_type()) {
      return at::toOpMathType(input.scalar_type());
    }
  }
  return input.scalar_type();
}

// A vector over the channels in the shape that broadcasts against `x`.
Tensor by_channel(const Tensor& vector, const Tensor& x) {
  at::DimVector shape(x.dim(), 1);
  shape[1] = vector.numel();
  return vector.to(x.scalar_type()).view(shape);
}

// (x - mean) * scale, times weight, plus bias, in x's type.
Tensor scale_and_shift(const Tensor& x, const Tensor& mean, const Tensor& rstd,
                       const Tensor& weight, const Tensor& bias) {
  const Tensor scale = weight.defined() ? rstd * weight : rstd;
  const Tensor centred = x - mean;
  return bias.defined() ? at::addcmul(bias, centred, scale) : centred * scale;
}

void update_running(const Tensor& running, const Tensor& batch, double momentum) {
  const auto type = batch.scalar_type();
  running.copy_(at::add(running.to(type) * (1 - momentum), batch, momentum));
}

// Training takes the batch's statistics and moves the running ones towards them; inference takes
// the running ones and, as on the CPU, saves none.
Triple normalize_batch(const Tensor& input, const Tensor& weight, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var, bool training,
                       double momentum, double eps) {
  const auto channels = input.size(1);
  for (const Tensor& parameter : {weight, bias, running_mean, running_var}) {
    TORCH_CHECK(!parameter.defined() || parameter.numel() == channels,
                "batch_norm: a parameter has ", parameter.numel(), " elements, the input ",
                channels, " channels");
  }
  TORCH_CHECK(training || (running_mean.defined() && running_var.defined()),
              "Expected running_mean and running_var to be defined when training=False");
  const auto type = at::toOpMathType(input.scalar_type());
  const auto saved =
      input.options().dtype(statistics_type(input, {weight, bias, running_mean, running_var}));
  const Tensor x = input.to(type);
  Tensor mean;
  Tensor rstd;
  if (training) {
    at::DimVector others;
    for (int64_t d = 0; d < x.dim(); ++d) {
      if (d != 1) others.push_back(d);
    }
    Tensor variance;
    std::tie(variance, mean) = at::var_mean(x, others, /*correction=*/at::Scalar(0));
    rstd = at::rsqrt(variance + eps);
    const auto count = static_cast<double>(x.numel() / std::max<int64_t>(channels, 1));
    if (running_mean.defined()) update_running(running_mean, mean, momentum);
    if (running_var.defined()) {
      update_running(running_var, variance * (count / (count - 1)), momentum);
    }
  } else {
    mean = running_mean.to(type);
    rstd = at::rsqrt(running_var.to(type) + eps);
  }
  const auto shaped = [&](const Tensor& vector) {
    return vector.defined() ? by_channel(vector, x) : Tensor();
  };
  const Tensor y = scale_and_shift(x, shaped(mean), shaped(rstd), shaped(weight), shaped(bias));
  if (!training) return {y.to(input.scalar_type()), at::empty({0}, saved), at::empty({0}, saved)};
  return {y.to(input.scalar_type()), mean.to(saved.dtype()), rstd.to(saved.dtype())};
}

Triple native_batch_norm(const Tensor& input, OptionalTensor weight, OptionalTensor bias,
                         OptionalTensor running_mean, OptionalTensor running_var, bool training,
                         double momentum, double eps) {
  return normalize_batch(input, defined_or_empty(weight), defined_or_empty(bias),
                         defined_or_empty(running_mean), defined_or_empty(running_var), training,
                         momentum, eps);
}

Triple batch_norm_legit(const Tensor& input, OptionalTensor weight, OptionalTensor bias,
                        Tensor& running_mean, Tensor& running_var, bool training, double momentum,
                        double eps) {
  return normalize_batch(input, defined_or_empty(weight), defined_or_empty(bias), running_mean,
                         running_var, training, momentum, eps);
}

Triple batch_norm_without_running(const Tensor& input, OptionalTensor weight, OptionalTensor bias,
                                  bool training, double momentum, double eps) {
  return normalize_batch(input, defined_or_empty(weight), defined_or_empty(bias), {}, {}, training,
                         momentum, eps);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> batch_norm_with_update(
    const Tensor& input, OptionalTensor weight, OptionalTensor bias, Tensor& running_mean,
    Tensor& running_var, double momentum, double eps) {
  auto [y, mean, rstd] =
      batch_norm_legit(input, weight, bias, running_mean, running_var, true, momentum, eps);
  return {y, mean, rstd, at::empty({0}, input.options().dtype(at::kByte))};
}

// `input` is [batch, channels, ...]; a group is a run of channels.
Triple group_norm(const Tensor& input, OptionalTensor weight, OptionalTensor bias, int64_t batch,
                  int64_t channels, int64_t area, int64_t groups, double eps) {
  const Tensor scale = defined_or_empty(weight);
  const Tensor shift = defined_or_empty(bias);
  const auto type = at::toOpMathType(input.scalar_type());
  const auto saved = input.options().dtype(statistics_type(input, {scale, shift}));
  const int64_t length = channels / groups * area;
  if (input.numel() == 0) {
    return {at::empty_like(input), at::empty({batch, groups}, saved),
            at::empty({batch, groups}, saved)};
  }
  const Tensor x = input.to(type).contiguous();
  auto [rows, mean, rstd] = at::native_layer_norm(x.view({batch * groups, length}), {length},
                                                  std::nullopt, std::nullopt, eps);
  Tensor y = rows.view(input.sizes());
  if (scale.defined() && shift.defined()) {
    y = at::addcmul(by_channel(shift, y), y, by_channel(scale, y));
  } else if (scale.defined()) {
    y = y * by_channel(scale, y);
  } else if (shift.defined()) {
    y = y + by_channel(shift, y);
  }
  const auto statistic = [&](const Tensor& tensor) {
    return tensor.view({batch, groups}).to(saved.dtype());
  };
  return {y.to(input.scalar_type()), statistic(mean), statistic(rstd)};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"native_batch_norm", &native_batch_norm>(m);
  impl<"_native_batch_norm_legit", &batch_norm_legit>(m);
  impl<"_native_batch_norm_legit.no_stats", &batch_norm_without_running>(m);
  impl<"_batch_norm_with_update", &batch_norm_with_update>(m);
  impl<"native_group_norm", &group_norm>(m);
}

}  // namespace
}  // namespace npu::backend

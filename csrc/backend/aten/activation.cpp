// Activations that take parameters, and the backward forms of all of them.
#include <ATen/ops/elu_backward_meta.h>
#include <ATen/ops/elu_meta.h>
#include <ATen/ops/gelu_backward_meta.h>
#include <ATen/ops/gelu_meta.h>
#include <ATen/ops/hardshrink_backward_meta.h>
#include <ATen/ops/hardshrink_meta.h>
#include <ATen/ops/hardsigmoid_backward_meta.h>
#include <ATen/ops/leaky_relu_backward_meta.h>
#include <ATen/ops/leaky_relu_meta.h>
#include <ATen/ops/sigmoid_backward_meta.h>
#include <ATen/ops/silu_backward_meta.h>
#include <ATen/ops/softplus_backward_meta.h>
#include <ATen/ops/softplus_meta.h>
#include <ATen/ops/softshrink_backward_meta.h>
#include <ATen/ops/softshrink_meta.h>
#include <ATen/ops/tanh_backward_meta.h>
#include <ATen/ops/threshold_backward_meta.h>
#include <ATen/ops/threshold_meta.h>

#include "csrc/backend/aten/structured_elementwise.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;

template <Name name>
constexpr auto with_scalar = [](const Tensor&, const Scalar& a) { return plan<name>(a); };

template <Name name>
constexpr auto with_two =
    [](const Tensor&, const Scalar& a, const Scalar& b) { return plan<name>(a, b); };

template <Name name>
constexpr auto backward_with_scalar =
    [](const Tensor&, const Tensor&, const Scalar& a) { return plan<name>(a); };

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  elementwise<at::meta::structured_gelu,
              [](const Tensor&, std::string_view approximate) {
                return approximate == "tanh" ? plan<"gelu_tanh">() : plan<"gelu">();
              },
              "gelu", "gelu.out">(m);
  elementwise<at::meta::structured_gelu_backward,
              [](const Tensor&, const Tensor&, std::string_view approximate) {
                return approximate == "tanh" ? plan<"gelu_tanh_backward">()
                                             : plan<"gelu_backward">();
              },
              "gelu_backward", "gelu_backward.grad_input">(m);
  elementwise<at::meta::structured_hardshrink, with_scalar<"hardshrink">, "hardshrink",
              "hardshrink.out">(m);
  elementwise<at::meta::structured_softshrink, with_scalar<"softshrink">, "softshrink",
              "softshrink.out">(m);
  elementwise<at::meta::structured_leaky_relu, with_scalar<"leaky_relu">, "leaky_relu",
              "leaky_relu.out">(m);
  elementwise<at::meta::structured_threshold, with_two<"threshold">, "threshold", "threshold.out">(
      m);
  elementwise<at::meta::structured_softplus, with_two<"softplus">, "softplus", "softplus.out">(m);
  elementwise<at::meta::structured_elu,
              [](const Tensor&, const Scalar& alpha, const Scalar& scale,
                 const Scalar& input_scale) { return plan<"elu">(alpha, scale, input_scale); },
              "elu", "elu.out">(m);

  elementwise<at::meta::structured_silu_backward, entry<"silu_backward">, "silu_backward",
              "silu_backward.grad_input">(m);
  elementwise<at::meta::structured_sigmoid_backward, entry<"sigmoid_backward">, "sigmoid_backward",
              "sigmoid_backward.grad_input">(m);
  elementwise<at::meta::structured_tanh_backward, entry<"tanh_backward">, "tanh_backward",
              "tanh_backward.grad_input">(m);
  elementwise<at::meta::structured_hardsigmoid_backward, entry<"hardsigmoid_backward">,
              "hardsigmoid_backward", "hardsigmoid_backward.grad_input">(m);
  elementwise<at::meta::structured_hardshrink_backward, backward_with_scalar<"shrink_backward">,
              "hardshrink_backward", "hardshrink_backward.grad_input">(m);
  elementwise<at::meta::structured_softshrink_backward, backward_with_scalar<"shrink_backward">,
              "softshrink_backward", "softshrink_backward.grad_input">(m);
  elementwise<at::meta::structured_threshold_backward, backward_with_scalar<"threshold_backward">,
              "threshold_backward", "threshold_backward.grad_input">(m);
  elementwise<at::meta::structured_leaky_relu_backward,
              [](const Tensor&, const Tensor&, const Scalar& slope, bool) {
                return plan<"leaky_relu_backward">(slope);
              },
              "leaky_relu_backward", "leaky_relu_backward.grad_input">(m);
  elementwise<at::meta::structured_softplus_backward,
              [](const Tensor&, const Tensor&, const Scalar& beta, const Scalar& threshold) {
                return plan<"softplus_backward">(beta, threshold);
              },
              "softplus_backward", "softplus_backward.grad_input">(m);
  elementwise<at::meta::structured_elu_backward,
              [](const Tensor&, const Scalar& alpha, const Scalar& scale, const Scalar& input_scale,
                 bool is_result, const Tensor&) {
                return is_result ? plan<"elu_backward_result">(alpha, scale, input_scale)
                                 : plan<"elu_backward">(alpha, scale, input_scale);
              },
              "elu_backward", "elu_backward.grad_input">(m);
}

}  // namespace npu::backend

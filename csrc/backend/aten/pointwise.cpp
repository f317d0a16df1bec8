// Element-wise ops whose shape logic PyTorch exports as a device-independent function over a
// dispatch stub: the function is registered as it is, the stub points at the SDK's table.
#include <ATen/native/Activation.h>
#include <ATen/native/BinaryOps.h>
#include <ATen/native/PointwiseOps.h>
#include <ATen/native/Pow.h>
#include <ATen/native/TensorCompare.h>
#include <ATen/native/UnaryOps.h>
#include <ATen/ops/_prelu_kernel_backward_native.h>
#include <ATen/ops/_prelu_kernel_native.h>
#include <ATen/ops/abs_native.h>
#include <ATen/ops/clamp_native.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/floor_divide_native.h>
#include <ATen/ops/glu_native.h>
#include <ATen/ops/hardswish_backward_native.h>
#include <ATen/ops/hardswish_native.h>
#include <ATen/ops/hardtanh_backward_native.h>
#include <ATen/ops/hardtanh_native.h>
#include <ATen/ops/huber_loss_backward_native.h>
#include <ATen/ops/huber_loss_native.h>
#include <ATen/ops/isnan_native.h>
#include <ATen/ops/logical_and_native.h>
#include <ATen/ops/logical_not_native.h>
#include <ATen/ops/logical_or_native.h>
#include <ATen/ops/logical_xor_native.h>
#include <ATen/ops/logit_backward_native.h>
#include <ATen/ops/logit_native.h>
#include <ATen/ops/mish_backward_native.h>
#include <ATen/ops/mse_loss_backward_native.h>
#include <ATen/ops/mse_loss_native.h>
#include <ATen/ops/nan_to_num_native.h>
#include <ATen/ops/pow_native.h>
#include <ATen/ops/relu_native.h>
#include <ATen/ops/round_native.h>
#include <ATen/ops/smooth_l1_loss_backward_native.h>
#include <ATen/ops/smooth_l1_loss_native.h>
#include <ATen/ops/where_native.h>

#include "csrc/backend/aten/iterator.h"
#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;
using at::TensorIterator;
using at::TensorIteratorBase;

// Converts to whatever function pointer a dispatch stub wants: the iterator, then the scalars.
template <class Iterator, class... Args>
using StubPointer = void (*)(Iterator&, Args...);

template <Name name>
struct Entry {
  template <class Iterator, class... Args>
  operator StubPointer<Iterator, Args...>() const {  // NOLINT(google-explicit-constructor)
    return [](Iterator& iterator, Args... args) { run_elementwise(iterator, plan<name>(args...)); };
  }
};

// The same with the scalars as the entry's last inputs.
template <Name name>
struct InputEntry {
  template <class Iterator, class... Args>
  operator StubPointer<Iterator, Args...>() const {  // NOLINT(google-explicit-constructor)
    return [](Iterator& iterator, Args... args) {
      run_elementwise(iterator, plan_inputs<name>(args...));
    };
  }
};

// Exponents that have a function of their own take it: faster, and exact where pow() is not.
void pow_scalar(TensorIteratorBase& iterator, const Scalar& exponent) {
  const bool floating = at::isFloatingType(iterator.common_dtype());
  const double value = exponent.toDouble();
  if (value == 2) return run_elementwise(iterator, plan<"square">());
  if (value == 3) return run_elementwise(iterator, plan<"cube">());
  if (floating && value == 0.5) return run_elementwise(iterator, plan<"sqrt">());
  if (floating && value == -0.5) return run_elementwise(iterator, plan<"rsqrt">());
  if (floating && value == -1) return run_elementwise(iterator, plan<"reciprocal">());
  run_elementwise(iterator, plan_inputs<"pow">(exponent));
}

void round_decimals(TensorIteratorBase& iterator, int64_t decimals) {
  const double power = std::pow(10.0, static_cast<double>(std::abs(decimals)));
  run_elementwise(iterator,
                  decimals < 0 ? plan<"round_divided">(power) : plan<"round_scaled">(power));
}

// Two results: the input's gradient and the weight's, not yet summed.
void prelu_backward(TensorIterator& iterator) {
  const auto run = [](const at::TensorBase& out,
                      std::initializer_list<const at::TensorBase*> inputs, const Plan& plan) {
    at::TensorIteratorConfig config;
    config.add_output(out);
    for (const auto* tensor : inputs) config.add_const_input(*tensor);
    auto one = config.check_all_same_dtype(false).resize_outputs(false).build();
    run_elementwise(one, plan);
  };
  const auto& self = iterator.tensor_base(2);
  const auto& weight = iterator.tensor_base(3);
  const auto& grad = iterator.tensor_base(4);
  run(iterator.tensor_base(0), {&grad, &self, &weight}, plan<"prelu_backward">());
  run(iterator.tensor_base(1), {&grad, &self}, plan<"prelu_weight_backward">());
}

void nan_to_num(TensorIteratorBase& iterator, std::optional<double> nan,
                std::optional<double> posinf, std::optional<double> neginf) {
  double largest = 0;
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, iterator.dtype(), "nan_to_num", [&] {
    largest = static_cast<double>(std::numeric_limits<scalar_t>::max());
  });
  run_elementwise(iterator, plan<"nan_to_num">(nan.value_or(0.0), posinf.value_or(largest),
                                               neginf.value_or(-largest)));
}

// PyTorch says "no eps" by a negative one.
void logit(TensorIteratorBase& iterator, const Scalar& eps) {
  run_elementwise(iterator, eps.toDouble() < 0 ? plan<"logit">() : plan<"logit_clamped">(eps));
}

void logit_backward(TensorIteratorBase& iterator, const Scalar& eps) {
  run_elementwise(iterator, eps.toDouble() < 0 ? plan<"logit_backward">()
                                               : plan<"logit_clamped_backward">(eps));
}

std::tuple<Tensor, Tensor> log_sigmoid_forward(const Tensor& self) {
  Tensor output = at::empty_like(self);
  auto iterator = TensorIterator::unary_op(output, self);
  run_elementwise(iterator, plan<"log_sigmoid">());
  return {output, at::empty({0}, self.options())};  // the buffer is the CPU kernel's own affair
}

std::tuple<Tensor&, Tensor&> log_sigmoid_forward_out(const Tensor& self, Tensor& output,
                                                     Tensor& buffer) {
  auto iterator = TensorIterator::unary_op(output, self);
  run_elementwise(iterator, plan<"log_sigmoid">());
  return {output, buffer};
}

Tensor& log_sigmoid_backward_out(const Tensor& grad_output, const Tensor& self, const Tensor&,
                                 Tensor& grad_input) {
  auto iterator = TensorIterator::borrowing_binary_op(grad_input, grad_output, self);
  run_elementwise(iterator, plan<"log_sigmoid_backward">());
  return grad_input;
}

Tensor log_sigmoid_backward(const Tensor& grad_output, const Tensor& self, const Tensor& buffer) {
  Tensor grad_input = at::empty_like(grad_output);
  return log_sigmoid_backward_out(grad_output, self, buffer, grad_input);
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

using npu::backend::Entry;
using npu::backend::InputEntry;

// clang-format off
REGISTER_PRIVATEUSE1_DISPATCH(abs_stub, Entry<"abs">())
REGISTER_PRIVATEUSE1_DISPATCH(logical_not_stub, Entry<"logical_not">())
REGISTER_PRIVATEUSE1_DISPATCH(logical_and_stub, Entry<"logical_and">())
REGISTER_PRIVATEUSE1_DISPATCH(logical_or_stub, Entry<"logical_or">())
REGISTER_PRIVATEUSE1_DISPATCH(logical_xor_stub, Entry<"logical_xor">())
REGISTER_PRIVATEUSE1_DISPATCH(where_kernel, Entry<"where">())
REGISTER_PRIVATEUSE1_DISPATCH(clamp_stub, Entry<"clamp">())
REGISTER_PRIVATEUSE1_DISPATCH(clamp_scalar_stub, InputEntry<"clamp">())
REGISTER_PRIVATEUSE1_DISPATCH(maximum_stub, Entry<"maximum">())  // clamp with one tensor bound
REGISTER_PRIVATEUSE1_DISPATCH(minimum_stub, Entry<"minimum">())
REGISTER_PRIVATEUSE1_DISPATCH(clamp_min_scalar_stub, InputEntry<"maximum">())
REGISTER_PRIVATEUSE1_DISPATCH(clamp_max_scalar_stub, InputEntry<"minimum">())
REGISTER_PRIVATEUSE1_DISPATCH(div_floor_stub, Entry<"div_floor">())
REGISTER_PRIVATEUSE1_DISPATCH(pow_tensor_tensor_stub, Entry<"pow">())
REGISTER_PRIVATEUSE1_DISPATCH(pow_tensor_scalar_stub, &npu::backend::pow_scalar)
REGISTER_PRIVATEUSE1_DISPATCH(round_stub, Entry<"round">())
REGISTER_PRIVATEUSE1_DISPATCH(round_decimals_stub, &npu::backend::round_decimals)
REGISTER_PRIVATEUSE1_DISPATCH(hardswish_stub, Entry<"hardswish">())
REGISTER_PRIVATEUSE1_DISPATCH(hardswish_backward_stub, Entry<"hardswish_backward">())
REGISTER_PRIVATEUSE1_DISPATCH(hardtanh_backward_stub, Entry<"hardtanh_backward">())
REGISTER_PRIVATEUSE1_DISPATCH(mish_backward_stub, Entry<"mish_backward">())
REGISTER_PRIVATEUSE1_DISPATCH(prelu_stub, Entry<"prelu">())
REGISTER_PRIVATEUSE1_DISPATCH(prelu_backward_stub, &npu::backend::prelu_backward)
REGISTER_PRIVATEUSE1_DISPATCH(glu_stub, Entry<"glu">())
REGISTER_PRIVATEUSE1_DISPATCH(mse_stub, Entry<"mse">())
REGISTER_PRIVATEUSE1_DISPATCH(smooth_l1_stub, Entry<"smooth_l1">())
REGISTER_PRIVATEUSE1_DISPATCH(huber_stub, Entry<"huber">())
REGISTER_PRIVATEUSE1_DISPATCH(mse_backward_stub, Entry<"mse_backward">())
REGISTER_PRIVATEUSE1_DISPATCH(smooth_l1_backward_stub, Entry<"smooth_l1_backward">())
REGISTER_PRIVATEUSE1_DISPATCH(huber_backward_stub, Entry<"huber_backward">())
REGISTER_PRIVATEUSE1_DISPATCH(logit_stub, &npu::backend::logit)
REGISTER_PRIVATEUSE1_DISPATCH(logit_backward_stub, &npu::backend::logit_backward)
REGISTER_PRIVATEUSE1_DISPATCH(nan_to_num_stub, &npu::backend::nan_to_num)
// clang-format on

}  // namespace at::native

namespace npu::backend {

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"abs.out", &at::native::abs_out>(m);
  impl<"logical_not.out", &at::native::logical_not_out>(m);
  impl<"logical_and.out", &at::native::logical_and_out>(m);
  impl<"logical_or.out", &at::native::logical_or_out>(m);
  impl<"logical_xor.out", &at::native::logical_xor_out>(m);
  impl<"where.self_out", &at::native::where_self_out>(m);
  impl<"where.self",
       static_cast<Tensor (*)(const Tensor&, const Tensor&, const Tensor&)>(&at::native::where)>(m);
  impl<"isnan", &at::native::isnan>(m);
  impl<"relu", &at::native::relu>(m);
  impl<"relu_", &at::native::relu_>(m);
  impl<"nan_to_num.out", &at::native::nan_to_num_out>(m);
  impl<"logit", &at::native::logit>(m);
  impl<"logit.out", &at::native::logit_out>(m);
  impl<"floor_divide",
       static_cast<Tensor (*)(const Tensor&, const Tensor&)>(&at::native::floor_divide)>(m);
  impl<"floor_divide.out", &at::native::floor_divide_out>(m);
  impl<"floor_divide_.Tensor",
       static_cast<Tensor& (*)(Tensor&, const Tensor&)>(&at::native::floor_divide_)>(m);
  impl<"hardswish", &at::native::hardswish>(m);
  impl<"hardswish.out", &at::native::hardswish_out>(m);
  impl<"hardswish_", &at::native::hardswish_>(m);
  impl<"hardswish_backward", &at::native::hardswish_backward>(m);
  impl<"hardtanh", &at::native::hardtanh>(m);
  impl<"hardtanh.out", &at::native::hardtanh_out>(m);
  impl<"hardtanh_", &at::native::hardtanh_>(m);
  impl<"hardtanh_backward", &at::native::hardtanh_backward>(m);
  impl<"hardtanh_backward.grad_input", &at::native::hardtanh_backward_out>(m);
  impl<"mish_backward", &at::native::mish_backward>(m);
  impl<"_prelu_kernel", &at::native::_prelu_kernel>(m);
  impl<"_prelu_kernel_backward", &at::native::_prelu_kernel_backward>(m);
  impl<"log_sigmoid_forward", &log_sigmoid_forward>(m);
  impl<"log_sigmoid_forward.output", &log_sigmoid_forward_out>(m);
  impl<"log_sigmoid_backward", &log_sigmoid_backward>(m);
  impl<"log_sigmoid_backward.grad_input", &log_sigmoid_backward_out>(m);
  impl<"huber_loss", &at::native::huber_loss>(m);
  impl<"huber_loss.out", &at::native::huber_loss_out>(m);
  impl<"huber_loss_backward.out", &at::native::huber_loss_backward_out>(m);
  impl<"mse_loss_backward", &at::native::mse_loss_backward>(m);
  impl<"mse_loss_backward.grad_input", &at::native::mse_loss_backward_out>(m);
  impl<"smooth_l1_loss_backward.grad_input", &at::native::smooth_l1_loss_backward_out>(m);

  structured<at::native::structured_mse_loss_out, "mse_loss", "mse_loss.out">(m);
  structured<at::native::structured_smooth_l1_loss_out, "smooth_l1_loss", "smooth_l1_loss.out">(m);
  structured<at::native::structured_glu_out, "glu", "glu.out">(m);
  structured<at::native::structured_clamp_Tensor_out, "clamp.Tensor", "clamp.Tensor_out">(m);
  structured<at::native::structured_clamp_out, "clamp", "clamp.out">(m);
  structured<at::native::structured_pow_Tensor_Scalar_out, "pow.Tensor_Scalar",
             "pow.Tensor_Scalar_out">(m);
  structured<at::native::structured_pow_Scalar_out, "pow.Scalar", "pow.Scalar_out">(m);
  structured<at::native::structured_round_decimals_out, "round.decimals", "round.decimals_out">(m);
  structured<at::native::structured_logit_backward_out, "logit_backward",
             "logit_backward.grad_input">(m);
}

}  // namespace npu::backend

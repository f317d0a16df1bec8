// Binary and ternary element-wise ops, comparisons and clamps.
#include <ATen/ops/add_meta.h>
#include <ATen/ops/addcdiv_meta.h>
#include <ATen/ops/addcmul_meta.h>
#include <ATen/ops/atan2_meta.h>
#include <ATen/ops/bitwise_and_meta.h>
#include <ATen/ops/bitwise_left_shift_meta.h>
#include <ATen/ops/bitwise_or_meta.h>
#include <ATen/ops/bitwise_right_shift_meta.h>
#include <ATen/ops/bitwise_xor_meta.h>
#include <ATen/ops/clamp_max_meta.h>
#include <ATen/ops/clamp_meta.h>
#include <ATen/ops/clamp_min_meta.h>
#include <ATen/ops/copysign_meta.h>
#include <ATen/ops/div_meta.h>
#include <ATen/ops/eq_meta.h>
#include <ATen/ops/fmax_meta.h>
#include <ATen/ops/fmin_meta.h>
#include <ATen/ops/fmod_meta.h>
#include <ATen/ops/gcd_meta.h>
#include <ATen/ops/ge_meta.h>
#include <ATen/ops/gt_meta.h>
#include <ATen/ops/heaviside_meta.h>
#include <ATen/ops/hypot_meta.h>
#include <ATen/ops/lcm_meta.h>
#include <ATen/ops/le_meta.h>
#include <ATen/ops/lerp_meta.h>
#include <ATen/ops/logaddexp2_meta.h>
#include <ATen/ops/logaddexp_meta.h>
#include <ATen/ops/lt_meta.h>
#include <ATen/ops/maximum_meta.h>
#include <ATen/ops/minimum_meta.h>
#include <ATen/ops/mul_meta.h>
#include <ATen/ops/ne_meta.h>
#include <ATen/ops/nextafter_meta.h>
#include <ATen/ops/pow_meta.h>
#include <ATen/ops/pow_native.h>
#include <ATen/ops/remainder_meta.h>
#include <ATen/ops/special_xlog1py_meta.h>
#include <ATen/ops/sub_meta.h>
#include <ATen/ops/xlogy_meta.h>

#include "csrc/backend/aten/structured_elementwise.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;

template <Name name>
constexpr auto with_alpha =
    [](const Tensor&, const Tensor&, const Scalar& alpha) { return plan<name>(alpha); };

template <Name name>
constexpr auto with_value = [](const Tensor&, const Tensor&, const Tensor&, const Scalar& value) {
  return plan<name>(value);
};

constexpr auto rounded_division = [](const Tensor&, const Tensor&,
                                     std::optional<std::string_view> rounding_mode) {
  if (!rounding_mode.has_value()) return plan<"div">();
  return *rounding_mode == "floor" ? plan<"div_floor">() : plan<"div_trunc">();
};

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  elementwise<at::meta::structured_gcd, entry<"gcd">, "gcd", "gcd.out">(m);
  elementwise<at::meta::structured_lcm, entry<"lcm">, "lcm", "lcm.out">(m);
  elementwise<at::meta::structured_logaddexp, entry<"logaddexp">, "logaddexp", "logaddexp.out">(m);
  elementwise<at::meta::structured_logaddexp2, entry<"logaddexp2">, "logaddexp2", "logaddexp2.out">(
      m);
  elementwise<at::meta::structured_heaviside, entry<"heaviside">, "heaviside", "heaviside.out">(m);
  elementwise<at::meta::structured_atan2, entry<"atan2">, "atan2", "atan2.out">(m);
  elementwise<at::meta::structured_hypot, entry<"hypot">, "hypot", "hypot.out">(m);
  elementwise<at::meta::structured_nextafter, entry<"nextafter">, "nextafter", "nextafter.out">(m);
  elementwise<at::meta::structured_fmin, entry<"fmin">, "fmin", "fmin.out">(m);
  elementwise<at::meta::structured_fmax, entry<"fmax">, "fmax", "fmax.out">(m);
  elementwise<at::meta::structured_maximum, entry<"maximum">, "maximum", "maximum.out">(m);
  elementwise<at::meta::structured_minimum, entry<"minimum">, "minimum", "minimum.out">(m);
  elementwise<at::meta::structured_special_xlog1py, entry<"xlog1py">, "special_xlog1py",
              "special_xlog1py.out">(m);
  elementwise<at::meta::structured_copysign_Tensor, entry<"copysign">, "copysign.Tensor",
              "copysign.out">(m);
  elementwise<at::meta::structured_div_Tensor, entry<"div">, "div.Tensor", "div.out">(m);
  elementwise<at::meta::structured_mul_Tensor, entry<"mul">, "mul.Tensor", "mul.out">(m);
  elementwise<at::meta::structured_xlogy_Tensor, entry<"xlogy">, "xlogy.Tensor", "xlogy.OutTensor">(
      m);
  elementwise<at::meta::structured_bitwise_and_Tensor, entry<"bitwise_and">, "bitwise_and.Tensor",
              "bitwise_and.Tensor_out">(m);
  elementwise<at::meta::structured_bitwise_or_Tensor, entry<"bitwise_or">, "bitwise_or.Tensor",
              "bitwise_or.Tensor_out">(m);
  elementwise<at::meta::structured_bitwise_xor_Tensor, entry<"bitwise_xor">, "bitwise_xor.Tensor",
              "bitwise_xor.Tensor_out">(m);
  elementwise<at::meta::structured_bitwise_left_shift_Tensor, entry<"lshift">,
              "bitwise_left_shift.Tensor", "bitwise_left_shift.Tensor_out">(m);
  elementwise<at::meta::structured_bitwise_right_shift_Tensor, entry<"rshift">,
              "bitwise_right_shift.Tensor", "bitwise_right_shift.Tensor_out">(m);
  elementwise<at::meta::structured_fmod_Tensor, entry<"fmod">, "fmod.Tensor", "fmod.Tensor_out">(m);
  elementwise<at::meta::structured_remainder_Tensor, entry<"remainder">, "remainder.Tensor",
              "remainder.Tensor_out">(m);
  elementwise<at::meta::structured_ne_Tensor, entry<"ne">, "ne.Tensor", "ne.Tensor_out">(m);
  elementwise<at::meta::structured_eq_Tensor, entry<"eq">, "eq.Tensor", "eq.Tensor_out">(m);
  elementwise<at::meta::structured_ge_Tensor, entry<"ge">, "ge.Tensor", "ge.Tensor_out">(m);
  elementwise<at::meta::structured_le_Tensor, entry<"le">, "le.Tensor", "le.Tensor_out">(m);
  elementwise<at::meta::structured_gt_Tensor, entry<"gt">, "gt.Tensor", "gt.Tensor_out">(m);
  elementwise<at::meta::structured_lt_Tensor, entry<"lt">, "lt.Tensor", "lt.Tensor_out">(m);
  elementwise<at::meta::structured_ne_Scalar, entry<"ne">, "ne.Scalar", "ne.Scalar_out">(m);
  elementwise<at::meta::structured_eq_Scalar, entry<"eq">, "eq.Scalar", "eq.Scalar_out">(m);
  elementwise<at::meta::structured_ge_Scalar, entry<"ge">, "ge.Scalar", "ge.Scalar_out">(m);
  elementwise<at::meta::structured_le_Scalar, entry<"le">, "le.Scalar", "le.Scalar_out">(m);
  elementwise<at::meta::structured_gt_Scalar, entry<"gt">, "gt.Scalar", "gt.Scalar_out">(m);
  elementwise<at::meta::structured_lt_Scalar, entry<"lt">, "lt.Scalar", "lt.Scalar_out">(m);
  elementwise<at::meta::structured_add_Tensor, with_alpha<"add">, "add.Tensor", "add.out">(m);
  elementwise<at::meta::structured_sub_Tensor, with_alpha<"sub">, "sub.Tensor", "sub.out">(m);
  elementwise<at::meta::structured_div_Tensor_mode, rounded_division, "div.Tensor_mode",
              "div.out_mode">(m);
  elementwise<at::meta::structured_pow_Tensor_Tensor, entry<"pow">, "pow.Tensor_Tensor",
              "pow.Tensor_Tensor_out">(m);
  elementwise<at::meta::structured_lerp_Scalar,
              [](const Tensor&, const Tensor&, const Scalar& weight) {
                return plan_inputs<"lerp">(weight);
              },
              "lerp.Scalar", "lerp.Scalar_out">(m);
  elementwise<at::meta::structured_lerp_Tensor, entry<"lerp">, "lerp.Tensor", "lerp.Tensor_out">(m);
  elementwise<at::meta::structured_addcmul, with_value<"addcmul">, "addcmul", "addcmul.out">(m);
  elementwise<at::meta::structured_addcdiv, with_value<"addcdiv">, "addcdiv", "addcdiv.out">(m);
  elementwise<at::meta::structured_clamp_min,
              [](const Tensor&, const Scalar& min) { return plan_inputs<"maximum">(min); },
              "clamp_min", "clamp_min.out">(m);
  elementwise<at::meta::structured_clamp_max,
              [](const Tensor&, const Scalar& max) { return plan_inputs<"minimum">(max); },
              "clamp_max", "clamp_max.out">(m);
  elementwise<at::meta::structured_clamp_min_Tensor, entry<"maximum">, "clamp_min.Tensor",
              "clamp_min.Tensor_out">(m);
  elementwise<at::meta::structured_clamp_max_Tensor, entry<"minimum">, "clamp_max.Tensor",
              "clamp_max.Tensor_out">(m);
}

}  // namespace npu::backend

// Unary element-wise ops: a line each.
#include <ATen/ops/acos_meta.h>
#include <ATen/ops/acosh_meta.h>
#include <ATen/ops/asin_meta.h>
#include <ATen/ops/asinh_meta.h>
#include <ATen/ops/atan_meta.h>
#include <ATen/ops/atanh_meta.h>
#include <ATen/ops/bitwise_not_meta.h>
#include <ATen/ops/ceil_meta.h>
#include <ATen/ops/cos_meta.h>
#include <ATen/ops/cosh_meta.h>
#include <ATen/ops/digamma_meta.h>
#include <ATen/ops/erf_meta.h>
#include <ATen/ops/erfc_meta.h>
#include <ATen/ops/erfinv_meta.h>
#include <ATen/ops/exp2_meta.h>
#include <ATen/ops/exp_meta.h>
#include <ATen/ops/expm1_meta.h>
#include <ATen/ops/floor_meta.h>
#include <ATen/ops/frac_meta.h>
#include <ATen/ops/hardsigmoid_meta.h>
#include <ATen/ops/isneginf_meta.h>
#include <ATen/ops/isposinf_meta.h>
#include <ATen/ops/lgamma_meta.h>
#include <ATen/ops/log10_meta.h>
#include <ATen/ops/log1p_meta.h>
#include <ATen/ops/log2_meta.h>
#include <ATen/ops/log_meta.h>
#include <ATen/ops/mish_meta.h>
#include <ATen/ops/neg_meta.h>
#include <ATen/ops/reciprocal_meta.h>
#include <ATen/ops/round_meta.h>
#include <ATen/ops/rsqrt_meta.h>
#include <ATen/ops/sgn_meta.h>
#include <ATen/ops/sigmoid_meta.h>
#include <ATen/ops/sign_meta.h>
#include <ATen/ops/signbit_meta.h>
#include <ATen/ops/silu_meta.h>
#include <ATen/ops/sin_meta.h>
#include <ATen/ops/sinc_meta.h>
#include <ATen/ops/sinh_meta.h>
#include <ATen/ops/special_entr_meta.h>
#include <ATen/ops/sqrt_meta.h>
#include <ATen/ops/tan_meta.h>
#include <ATen/ops/tanh_meta.h>
#include <ATen/ops/trunc_meta.h>

#include "csrc/backend/aten/structured_elementwise.h"

namespace npu::backend {

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  elementwise<at::meta::structured_acos, entry<"acos">, "acos", "acos.out">(m);
  elementwise<at::meta::structured_acosh, entry<"acosh">, "acosh", "acosh.out">(m);
  elementwise<at::meta::structured_asinh, entry<"asinh">, "asinh", "asinh.out">(m);
  elementwise<at::meta::structured_atanh, entry<"atanh">, "atanh", "atanh.out">(m);
  elementwise<at::meta::structured_asin, entry<"asin">, "asin", "asin.out">(m);
  elementwise<at::meta::structured_atan, entry<"atan">, "atan", "atan.out">(m);
  elementwise<at::meta::structured_bitwise_not, entry<"bitwise_not">, "bitwise_not",
              "bitwise_not.out">(m);
  elementwise<at::meta::structured_ceil, entry<"ceil">, "ceil", "ceil.out">(m);
  elementwise<at::meta::structured_cos, entry<"cos">, "cos", "cos.out">(m);
  elementwise<at::meta::structured_cosh, entry<"cosh">, "cosh", "cosh.out">(m);
  elementwise<at::meta::structured_erf, entry<"erf">, "erf", "erf.out">(m);
  elementwise<at::meta::structured_erfc, entry<"erfc">, "erfc", "erfc.out">(m);
  elementwise<at::meta::structured_exp, entry<"exp">, "exp", "exp.out">(m);
  elementwise<at::meta::structured_exp2, entry<"exp2">, "exp2", "exp2.out">(m);
  elementwise<at::meta::structured_expm1, entry<"expm1">, "expm1", "expm1.out">(m);
  elementwise<at::meta::structured_floor, entry<"floor">, "floor", "floor.out">(m);
  elementwise<at::meta::structured_frac, entry<"frac">, "frac", "frac.out">(m);
  elementwise<at::meta::structured_log, entry<"log">, "log", "log.out">(m);
  elementwise<at::meta::structured_log10, entry<"log10">, "log10", "log10.out">(m);
  elementwise<at::meta::structured_log1p, entry<"log1p">, "log1p", "log1p.out">(m);
  elementwise<at::meta::structured_log2, entry<"log2">, "log2", "log2.out">(m);
  elementwise<at::meta::structured_reciprocal, entry<"reciprocal">, "reciprocal", "reciprocal.out">(
      m);
  elementwise<at::meta::structured_neg, entry<"neg">, "neg", "neg.out">(m);
  elementwise<at::meta::structured_round, entry<"round">, "round", "round.out">(m);
  elementwise<at::meta::structured_rsqrt, entry<"rsqrt">, "rsqrt", "rsqrt.out">(m);
  elementwise<at::meta::structured_silu, entry<"silu">, "silu", "silu.out">(m);
  elementwise<at::meta::structured_mish, entry<"mish">, "mish", "mish.out">(m);
  elementwise<at::meta::structured_sigmoid, entry<"sigmoid">, "sigmoid", "sigmoid.out">(m);
  elementwise<at::meta::structured_sin, entry<"sin">, "sin", "sin.out">(m);
  elementwise<at::meta::structured_sinc, entry<"sinc">, "sinc", "sinc.out">(m);
  elementwise<at::meta::structured_sinh, entry<"sinh">, "sinh", "sinh.out">(m);
  elementwise<at::meta::structured_sqrt, entry<"sqrt">, "sqrt", "sqrt.out">(m);
  elementwise<at::meta::structured_tan, entry<"tan">, "tan", "tan.out">(m);
  elementwise<at::meta::structured_tanh, entry<"tanh">, "tanh", "tanh.out">(m);
  elementwise<at::meta::structured_trunc, entry<"trunc">, "trunc", "trunc.out">(m);
  elementwise<at::meta::structured_lgamma, entry<"lgamma">, "lgamma", "lgamma.out">(m);
  elementwise<at::meta::structured_digamma, entry<"digamma">, "digamma", "digamma.out">(m);
  elementwise<at::meta::structured_erfinv, entry<"erfinv">, "erfinv", "erfinv.out">(m);
  elementwise<at::meta::structured_sgn, entry<"sgn">, "sgn", "sgn.out">(m);
  elementwise<at::meta::structured_sign, entry<"sign">, "sign", "sign.out">(m);
  elementwise<at::meta::structured_signbit, entry<"signbit">, "signbit", "signbit.out">(m);
  elementwise<at::meta::structured_hardsigmoid, entry<"hardsigmoid">, "hardsigmoid",
              "hardsigmoid.out">(m);
  elementwise<at::meta::structured_isposinf, entry<"isposinf">, "isposinf", "isposinf.out">(m);
  elementwise<at::meta::structured_isneginf, entry<"isneginf">, "isneginf", "isneginf.out">(m);
  elementwise<at::meta::structured_special_entr, entry<"entr">, "special_entr", "special_entr.out">(
      m);
}

}  // namespace npu::backend

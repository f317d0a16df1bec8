// Every element-wise operation, a line each. Formulas and special values are PyTorch's.
#include "csrc/sdk/kernels/elementwise_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <unordered_map>

namespace npu::kernels {
namespace {

using enum ElementwiseOp::Domain;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = std::numbers::pi;
constexpr double kSqrt2 = std::numbers::sqrt2;
constexpr double kInvSqrt2Pi = std::numbers::inv_sqrtpi / kSqrt2;

// The tanh form of GELU: 0.5 x (1 + tanh(kBeta (x + kKappa x^3))).
constexpr double kGeluBeta = kSqrt2 * std::numbers::inv_sqrtpi;
constexpr double kGeluKappa = 0.044715;

template <UnaryFn fn>
Expr unary(Formula& f) {
  return Formula::unary(fn, f.in(0));
}

template <BinaryFn fn>
Expr binary(Formula& f) {
  return Formula::binary(fn, f.in(0), f.in(1));
}

// The engine steps in its compute type. A 16-bit float takes a step of 5/8 to 5/4 of its last
// place, which rounding makes a whole one.
Expr nextafter(Formula& f) {
  const Expr x = f.in(0);
  const Expr y = f.in(1);
  const DType type = f.input_type(0);
  if (type != DType::bf16 && type != DType::f16) {
    return Formula::binary(BinaryFn::nextafter, x, y);
  }
  const bool is_bf16 = type == DType::bf16;
  const double last_place = is_bf16 ? 0x1p-8 : 0x1p-11;
  const double smallest = is_bf16 ? 0x1p-133 : 0x1p-24;
  const double largest = is_bf16 ? 0x1.fep127 : 65504;
  const Expr step = max(abs(x) * (1.25 * last_place), 0.75 * smallest);
  const Expr stepped = where(x < y, x + step, x - step);
  const Expr from_infinity = Formula::binary(BinaryFn::copysign, largest, x);
  const Expr finite = where(abs(x) == kInfinity, from_infinity, stepped);
  return where(isnan(x) || isnan(y), x + y, where(x == y, y, finite));
}

Expr clamp(const Expr& x, const Expr& low, const Expr& high) {
  return Formula::ternary(TernaryFn::clamp, x, low, high);
}

Expr bitwise_not(Formula& f) {
  const bool logical = f.input_type(0) == DType::b8;
  return Formula::unary(logical ? UnaryFn::not_ : UnaryFn::bitnot, f.in(0));
}

Expr lcm(Formula& f) {
  const Expr divisor = Formula::binary(BinaryFn::gcd, f.in(0), f.in(1));
  const Expr quotient = Formula::binary(BinaryFn::truncdiv, f.in(0), max(divisor, 1));
  return abs(quotient * f.in(1));
}

// x * y with y = function(argument), but 0 where x is 0, and NaN where the argument is.
Expr product_with_log(const Expr& x, const Expr& argument, const Expr& logarithm) {
  return where(isnan(argument), argument, where(x == 0, 0, x * logarithm));
}

Expr logaddexp(Formula& f) { return log_add_exp(f.in(0), f.in(1)); }

Expr logaddexp2(Formula& f) {
  const Expr distance = distance_of_exponents(f.in(0), f.in(1));
  return max(f.in(0), f.in(1)) + log1p(exp2(-distance)) * std::numbers::log2e;
}

Expr nan_to_num(Formula& f) {
  const Expr x = f.in(0);
  if (f.computes_integers()) return x;
  const Expr finite_above = where(isposinf(x), f.scalar(1), x);
  return where(isnan(x), f.scalar(0), where(isneginf(x), f.scalar(2), finite_above));
}

Expr sinc(Formula& f) {
  const Expr x = f.in(0) * kPi;
  return where(f.in(0) == 0, 1, sin(x) / x);
}

Expr entr(Formula& f) {
  const Expr x = f.in(0);
  const Expr inside = where(x == 0, 0, -x * log(x));
  return where(x < 0, -kInfinity, inside);
}

// ---- Activations ----

Expr gelu(Formula& f) {
  const Expr half = 0.5 * f.in(0);
  return fma(half, erf(f.in(0) * (1 / kSqrt2)), half);
}

Expr gelu_tanh_argument(const Expr& x) { return kGeluBeta * (x + kGeluKappa * (square(x) * x)); }

Expr gelu_tanh(Formula& f) {
  const Expr half = 0.5 * f.in(0);
  return fma(half, tanh(gelu_tanh_argument(f.in(0))), half);
}

Expr elu(Formula& f) {  // alpha, scale, input_scale
  const Expr x = f.in(0);
  const Expr below = expm1(x * f.scalar(2)) * (f.scalar(0) * f.scalar(1));
  return where(x <= 0, below, x * f.scalar(1));
}

Expr hard_gate(const Expr& x) { return clamp(x + 3, 0, 6); }

Expr softplus(Formula& f) {  // beta, threshold
  const Expr scaled = f.in(0) * f.scalar(0);
  return where(scaled > f.scalar(1), f.in(0), log1p(exp(scaled)) / f.scalar(0));
}

Expr mish(Formula& f) { return f.in(0) * tanh(log1p(exp(f.in(0)))); }

Expr log_sigmoid(Formula& f) { return min(f.in(0), 0) - log1p(exp(-abs(f.in(0)))); }

Expr within(const Expr& x, const Expr& bound) { return abs(x) <= bound; }

Expr softshrink(Formula& f) {  // lambda
  const Expr x = f.in(0);
  const Expr shrunk = where(x > f.scalar(0), x - f.scalar(0), x + f.scalar(0));
  return where(within(x, f.scalar(0)), 0, shrunk);
}

Expr logit_clamped(Formula& f) {  // eps
  const Expr x = clamp(f.in(0), f.scalar(0), 1 - f.scalar(0));
  return log(x / (1 - x));
}

// ---- Losses, element by element ----

Expr smooth_l1(Formula& f) {  // beta
  const Expr distance = abs(f.in(0) - f.in(1));
  return where(distance < f.scalar(0), 0.5 * square(distance) / f.scalar(0),
               distance - 0.5 * f.scalar(0));
}

Expr huber(Formula& f) {  // delta
  const Expr distance = abs(f.in(0) - f.in(1));
  return where(distance <= f.scalar(0), 0.5 * square(distance),
               f.scalar(0) * (distance - 0.5 * f.scalar(0)));
}

Expr binary_cross_entropy(Formula& f) {
  const Expr x = f.in(0);
  const Expr target = f.in(1);
  return (target - 1) * max(log1p(-x), -100) - target * max(log(x), -100);
}

// ---- Gradients: in(0) is the gradient of the result unless said otherwise ----

Expr sigmoid_backward(Formula& f) { return f.in(0) * (1 - f.in(1)) * f.in(1); }

Expr tanh_backward(Formula& f) { return f.in(0) * (1 - square(f.in(1))); }

Expr gelu_backward(Formula& f) {
  const Expr x = f.in(1);
  const Expr cdf = 0.5 * (1 + erf(x * (1 / kSqrt2)));
  const Expr pdf = exp(-0.5 * square(x)) * kInvSqrt2Pi;
  return f.in(0) * (cdf + x * pdf);
}

Expr gelu_tanh_backward(Formula& f) {
  const Expr x = f.in(1);
  const Expr t = tanh(gelu_tanh_argument(x));
  const Expr inner = kGeluBeta * (1 + 3 * kGeluKappa * square(x));
  return f.in(0) * (0.5 * (1 + t) + 0.5 * x * (1 - square(t)) * inner);
}

Expr silu_backward(Formula& f) {
  const Expr gate = sigmoid(f.in(1));
  return f.in(0) * gate * (1 + f.in(1) * (1 - gate));
}

Expr elu_backward(Formula& f) {  // alpha, scale, input_scale; from the input
  const Expr x = f.in(1);
  const Expr slope = f.scalar(2) * (f.scalar(0) * f.scalar(1));
  return where(x <= 0, f.in(0) * slope * exp(x * f.scalar(2)), f.in(0) * f.scalar(1));
}

Expr elu_backward_result(Formula& f) {  // the same from the result
  const Expr y = f.in(1);
  const Expr below = f.in(0) * f.scalar(2) * (y + f.scalar(0) * f.scalar(1));
  return where(y <= 0, below, f.in(0) * f.scalar(1));
}

Expr hardswish_backward(Formula& f) {
  const Expr x = f.in(1);
  const Expr middle = f.in(0) * (x / 3 + 0.5);
  return where(x < -3, 0, where(x < 3, middle, f.in(0)));
}

Expr hardsigmoid_backward(Formula& f) {
  return where(f.in(1) > -3 && f.in(1) < 3, f.in(0) * (1.0 / 6), 0);
}

Expr hardtanh_backward(Formula& f) {  // low, high
  return where(f.in(1) <= f.scalar(0) || f.in(1) >= f.scalar(1), 0, f.in(0));
}

Expr softplus_backward(Formula& f) {  // beta, threshold
  const Expr scaled = f.in(1) * f.scalar(0);
  const Expr power = exp(scaled);
  return where(scaled > f.scalar(1), f.in(0), f.in(0) * power / (power + 1));
}

Expr mish_backward(Formula& f) {
  const Expr x = f.in(1);
  const Expr t = tanh(log1p(exp(x)));
  return f.in(0) * (t + x * sigmoid(x) * (1 - square(t)));
}

Expr log_sigmoid_backward(Formula& f) {
  const Expr x = f.in(1);
  const Expr power = exp(-abs(x));
  const Expr share = power / (1 + power);
  return f.in(0) * where(x < 0, 1 - share, share);
}

Expr logit_backward(Formula& f) {
  const Expr x = f.in(1);
  return where(x < 0 || x > 1, kNaN, f.in(0) / (x * (1 - x)));
}

Expr logit_clamped_backward(Formula& f) {  // eps
  const Expr x = f.in(1);
  const Expr outside = x < f.scalar(0) || x > 1 - f.scalar(0);
  return where(outside, 0, f.in(0) / (x * (1 - x)));
}

// in(0) input, in(1) target, in(2) gradient; scalar 0 is the factor of the mean.
Expr mse_backward(Formula& f) { return f.scalar(0) * (f.in(0) - f.in(1)) * f.in(2); }

// A slope that is linear within `bound` of the target and constant outside.
Expr bounded_slope(Formula& f, const Expr& outside, const Expr& inside) {
  const Expr x = f.in(0) - f.in(1);
  const Expr bound = f.scalar(1);
  return where(x <= -bound, -outside, where(x >= bound, outside, inside * x));
}

Expr smooth_l1_backward(Formula& f) {  // factor, beta
  const Expr gradient = f.scalar(0) * f.in(2);
  return bounded_slope(f, gradient, gradient / f.scalar(1));
}

Expr huber_backward(Formula& f) {  // factor, delta
  const Expr gradient = f.scalar(0) * f.in(2);
  return bounded_slope(f, gradient * f.scalar(1), gradient);
}

Expr binary_cross_entropy_backward(Formula& f) {  // gradient, input, target
  const Expr x = f.in(1);
  return f.in(0) * (x - f.in(2)) / max((1 - x) * x, 1e-12);
}

// ---- The rest that does not fit on a line of the table ----

Expr xlogy(Formula& f) { return product_with_log(f.in(0), f.in(1), log(f.in(1))); }

Expr xlog1py(Formula& f) { return product_with_log(f.in(0), f.in(1), log1p(f.in(1))); }

Expr heaviside(Formula& f) { return where(f.in(0) == 0, f.in(1), f.in(0) > 0); }

Expr lerp(Formula& f) { return Formula::ternary(TernaryFn::lerp, f.in(0), f.in(1), f.in(2)); }

Expr addcmul(Formula& f) { return f.in(0) + f.scalar(0) * f.in(1) * f.in(2); }

Expr addcdiv(Formula& f) { return f.in(0) + f.scalar(0) * f.in(1) / f.in(2); }

Expr round_scaled(Formula& f) { return round(f.in(0) * f.scalar(0)) / f.scalar(0); }

Expr round_divided(Formula& f) { return round(f.in(0) / f.scalar(0)) * f.scalar(0); }

Expr hardtanh(Formula& f) { return clamp(f.in(0), f.scalar(0), f.scalar(1)); }

Expr leaky_relu(Formula& f) { return where(f.in(0) > 0, f.in(0), f.in(0) * f.scalar(0)); }

Expr prelu(Formula& f) { return where(f.in(0) > 0, f.in(0), f.in(1) * f.in(0)); }

// As PyTorch's iterator has it, the argument comes twice.
Expr threshold(Formula& f) { return where(f.in(0) <= f.scalar(0), f.scalar(1), f.in(1)); }

Expr hardshrink(Formula& f) { return where(within(f.in(0), f.scalar(0)), 0, f.in(0)); }

// These two take x before its gradient, as PyTorch's iterators have them.
Expr threshold_backward(Formula& f) { return where(f.in(0) <= f.scalar(0), 0, f.in(1)); }

Expr leaky_relu_backward(Formula& f) { return where(f.in(0) > 0, f.in(1), f.in(1) * f.scalar(0)); }

Expr shrink_backward(Formula& f) { return where(within(f.in(1), f.scalar(0)), 0, f.in(0)); }

Expr prelu_backward(Formula& f) { return where(f.in(1) > 0, f.in(0), f.in(2) * f.in(0)); }

Expr prelu_weight_backward(Formula& f) { return where(f.in(1) > 0, 0, f.in(1) * f.in(0)); }

Expr sub(Formula& f) { return fma(f.in(1), -f.scalar(0), f.in(0)); }

Expr rsub(Formula& f) { return fma(f.in(0), -f.scalar(0), f.in(1)); }

Expr ndtr(Formula& f) { return 0.5 * erfc(f.in(0) * (-1 / kSqrt2)); }

// clang-format off
constexpr ElementwiseOp kTable[] = {
    // name, inputs, scalars, domain, formula
    {"copy",         1, 0, any,      [](Formula& f) { return f.in(0); }},

    // Arithmetic. Where a factor is given, it is the scalar: in0 + factor * in1.
    {"add",          2, 1, any,      [](Formula& f) { return fma(f.in(1), f.scalar(0), f.in(0)); }},
    {"sub",          2, 1, any,      sub},
    {"rsub",         2, 1, any,      rsub},
    {"mul",          2, 0, any,      binary<BinaryFn::mul>},
    {"div",          2, 0, reals,    binary<BinaryFn::div>},
    {"div_floor",    2, 0, any,      binary<BinaryFn::floordiv>},
    {"div_trunc",    2, 0, any,      binary<BinaryFn::truncdiv>},
    {"remainder",    2, 0, any,      binary<BinaryFn::mod>},
    {"fmod",         2, 0, any,      binary<BinaryFn::fmod>},
    {"pow",          2, 0, any,      binary<BinaryFn::pow>},
    {"maximum",      2, 0, any,      binary<BinaryFn::max>},
    {"minimum",      2, 0, any,      binary<BinaryFn::min>},
    {"fmax",         2, 0, any,      binary<BinaryFn::fmax>},
    {"fmin",         2, 0, any,      binary<BinaryFn::fmin>},
    {"atan2",        2, 0, reals,    binary<BinaryFn::atan2>},
    {"hypot",        2, 0, reals,    binary<BinaryFn::hypot>},
    {"copysign",     2, 0, reals,    binary<BinaryFn::copysign>},
    {"nextafter",    2, 0, reals,    nextafter},
    {"gcd",          2, 0, integers, binary<BinaryFn::gcd>},
    {"lcm",          2, 0, integers, lcm},
    {"xlogy",        2, 0, reals,    xlogy},
    {"xlog1py",      2, 0, reals,    xlog1py},
    {"logaddexp",    2, 0, reals,    logaddexp},
    {"logaddexp2",   2, 0, reals,    logaddexp2},
    {"heaviside",    2, 0, any,      heaviside},
    {"ldexp",        2, 0, reals,    [](Formula& f) { return f.in(0) * exp2(f.in(1)); }},
    {"lerp",         3, 0, reals,    lerp},
    {"fma",          3, 0, any,      [](Formula& f) { return fma(f.in(0), f.in(1), f.in(2)); }},
    {"addcmul",      3, 1, any,      addcmul},
    {"addcdiv",      3, 1, reals,    addcdiv},
    {"clamp",        3, 0, any,      [](Formula& f) { return clamp(f.in(0), f.in(1), f.in(2)); }},
    {"where",        3, 0, any,      [](Formula& f) { return where(f.in(0), f.in(1), f.in(2)); }},
    {"masked_fill",  3, 0, any,      [](Formula& f) { return where(f.in(1), f.in(2), f.in(0)); }},
    {"masked_scale", 2, 1, any,      [](Formula& f) { return f.in(0) * f.in(1) * f.scalar(0); }},

    // Comparisons and logic.
    {"eq",           2, 0, predicate,binary<BinaryFn::eq>},
    {"ne",           2, 0, predicate,binary<BinaryFn::ne>},
    {"lt",           2, 0, predicate,binary<BinaryFn::lt>},
    {"le",           2, 0, predicate,binary<BinaryFn::le>},
    {"gt",           2, 0, predicate,binary<BinaryFn::gt>},
    {"ge",           2, 0, predicate,binary<BinaryFn::ge>},
    {"logical_and",  2, 0, predicate,binary<BinaryFn::land>},
    {"logical_or",   2, 0, predicate,binary<BinaryFn::lor>},
    {"logical_xor",  2, 0, predicate,binary<BinaryFn::lxor>},
    {"logical_not",  1, 0, predicate,unary<UnaryFn::not_>},
    {"isnan",        1, 0, predicate,unary<UnaryFn::isnan>},
    {"isinf",        1, 0, predicate,unary<UnaryFn::isinf>},
    {"isfinite",     1, 0, predicate,unary<UnaryFn::isfinite>},
    {"isposinf",     1, 0, predicate,unary<UnaryFn::isposinf>},
    {"isneginf",     1, 0, predicate,unary<UnaryFn::isneginf>},
    {"signbit",      1, 0, predicate,unary<UnaryFn::signbit>},
    {"bitwise_and",  2, 0, integers, binary<BinaryFn::and_>},
    {"bitwise_or",   2, 0, integers, binary<BinaryFn::or_>},
    {"bitwise_xor",  2, 0, integers, binary<BinaryFn::xor_>},
    {"bitwise_not",  1, 0, integers, bitwise_not},
    {"lshift",       2, 0, integers, binary<BinaryFn::shl>},
    {"rshift",       2, 0, integers, binary<BinaryFn::shr>},

    // Functions of one argument.
    {"neg",          1, 0, any,      unary<UnaryFn::neg>},
    {"abs",          1, 0, any,      unary<UnaryFn::abs>},
    {"sign",         1, 0, any,      unary<UnaryFn::sign>},
    {"sgn",          1, 0, any,      unary<UnaryFn::sign>},
    {"floor",        1, 0, any,      unary<UnaryFn::floor>},
    {"ceil",         1, 0, any,      unary<UnaryFn::ceil>},
    {"round",        1, 0, any,      unary<UnaryFn::round>},
    {"trunc",        1, 0, any,      unary<UnaryFn::trunc>},
    {"frac",         1, 0, reals,    unary<UnaryFn::frac>},
    // round() to decimals: the scalar is the power of ten, by which the argument is multiplied ...
    {"round_scaled", 1, 1, reals,    round_scaled},
    // ... or, for negative decimals, divided.
    {"round_divided", 1, 1, reals,    round_divided},
    {"square",       1, 0, any,      unary<UnaryFn::square>},
    {"cube",         1, 0, any,      [](Formula& f) { return square(f.in(0)) * f.in(0); }},
    {"reciprocal",   1, 0, reals,    unary<UnaryFn::recip>},
    {"sqrt",         1, 0, reals,    unary<UnaryFn::sqrt>},
    {"rsqrt",        1, 0, reals,    unary<UnaryFn::rsqrt>},
    {"exp",          1, 0, reals,    unary<UnaryFn::exp>},
    {"exp2",         1, 0, reals,    unary<UnaryFn::exp2>},
    {"expm1",        1, 0, reals,    unary<UnaryFn::expm1>},
    {"log",          1, 0, reals,    unary<UnaryFn::log>},
    {"log2",         1, 0, reals,    unary<UnaryFn::log2>},
    {"log10",        1, 0, reals,    unary<UnaryFn::log10>},
    {"log1p",        1, 0, reals,    unary<UnaryFn::log1p>},
    {"sin",          1, 0, reals,    unary<UnaryFn::sin>},
    {"cos",          1, 0, reals,    unary<UnaryFn::cos>},
    {"tan",          1, 0, reals,    unary<UnaryFn::tan>},
    {"asin",         1, 0, reals,    unary<UnaryFn::asin>},
    {"acos",         1, 0, reals,    unary<UnaryFn::acos>},
    {"atan",         1, 0, reals,    unary<UnaryFn::atan>},
    {"sinh",         1, 0, reals,    unary<UnaryFn::sinh>},
    {"cosh",         1, 0, reals,    unary<UnaryFn::cosh>},
    {"tanh",         1, 0, reals,    unary<UnaryFn::tanh>},
    {"asinh",        1, 0, reals,    unary<UnaryFn::asinh>},
    {"acosh",        1, 0, reals,    unary<UnaryFn::acosh>},
    {"atanh",        1, 0, reals,    unary<UnaryFn::atanh>},
    {"erf",          1, 0, reals,    unary<UnaryFn::erf>},
    {"erfc",         1, 0, reals,    unary<UnaryFn::erfc>},
    {"erfinv",       1, 0, reals,    unary<UnaryFn::erfinv>},
    {"lgamma",       1, 0, reals,    unary<UnaryFn::lgamma>},
    {"digamma",      1, 0, reals,    unary<UnaryFn::digamma>},
    {"deg2rad",      1, 0, reals,    [](Formula& f) { return f.in(0) * (kPi / 180); }},
    {"rad2deg",      1, 0, reals,    [](Formula& f) { return f.in(0) * (180 / kPi); }},
    {"sinc",         1, 0, reals,    sinc},
    {"entr",         1, 0, reals,    entr},
    {"ndtr",         1, 0, reals,    ndtr},
    {"ndtri",        1, 0, reals,    [](Formula& f) { return kSqrt2 * erfinv(2 * f.in(0) - 1); }},
    {"nan_to_num",   1, 3, any,      nan_to_num},  // for NaN, infinity, -infinity
    {"logit",        1, 0, reals,    [](Formula& f) { return log(f.in(0) / (1 - f.in(0))); }},
    {"logit_clamped", 1, 1, reals,    logit_clamped},

    // Activations.
    {"relu",         1, 0, any,      [](Formula& f) { return max(f.in(0), 0); }},
    {"sigmoid",      1, 0, reals,    unary<UnaryFn::sigmoid>},
    {"silu",         1, 0, reals,    [](Formula& f) { return f.in(0) * sigmoid(f.in(0)); }},
    {"gelu",         1, 0, reals,    gelu},
    {"gelu_tanh",    1, 0, reals,    gelu_tanh},
    {"hardtanh",     1, 2, any,      hardtanh},
    {"hardsigmoid",  1, 0, reals,    [](Formula& f) { return hard_gate(f.in(0)) / 6; }},
    {"hardswish",    1, 0, reals,    [](Formula& f) { return f.in(0) * hard_gate(f.in(0)) / 6; }},
    {"glu",          2, 0, reals,    [](Formula& f) { return f.in(0) * sigmoid(f.in(1)); }},
    {"elu",          1, 3, reals,    elu},
    {"leaky_relu",   1, 1, reals,    leaky_relu},
    {"prelu",        2, 0, reals,    prelu},
    {"softplus",     1, 2, reals,    softplus},
    {"mish",         1, 0, reals,    mish},
    {"log_sigmoid",  1, 0, reals,    log_sigmoid},
    {"threshold",    2, 2, any,      threshold},
    {"hardshrink",   1, 1, reals,    hardshrink},
    {"softshrink",   1, 1, reals,    softshrink},

    // Losses, element by element: input, target.
    {"mse",          2, 0, any,      [](Formula& f) { return square(f.in(0) - f.in(1)); }},
    {"smooth_l1",    2, 1, reals,    smooth_l1},
    {"huber",        2, 1, reals,    huber},
    {"binary_cross_entropy", 2, 0, reals,    binary_cross_entropy},

    // Gradients.
    {"sigmoid_backward", 2, 0, reals,    sigmoid_backward},
    {"tanh_backward", 2, 0, reals,    tanh_backward},
    {"gelu_backward", 2, 0, reals,    gelu_backward},
    {"gelu_tanh_backward", 2, 0, reals,    gelu_tanh_backward},
    {"silu_backward", 2, 0, reals,    silu_backward},
    {"threshold_backward", 2, 1, any,      threshold_backward},
    {"leaky_relu_backward", 2, 1, reals,    leaky_relu_backward},
    {"elu_backward", 2, 3, reals,    elu_backward},
    {"elu_backward_result", 2, 3, reals,    elu_backward_result},
    {"hardtanh_backward", 2, 2, reals,    hardtanh_backward},
    {"hardsigmoid_backward", 2, 0, reals,    hardsigmoid_backward},
    {"hardswish_backward", 2, 0, reals,    hardswish_backward},
    {"softplus_backward", 2, 2, reals,    softplus_backward},
    {"mish_backward", 2, 0, reals,    mish_backward},
    {"log_sigmoid_backward", 2, 0, reals,    log_sigmoid_backward},
    {"shrink_backward", 2, 1, reals,    shrink_backward},
    {"logit_backward", 2, 0, reals,    logit_backward},
    {"logit_clamped_backward", 2, 1, reals,    logit_clamped_backward},
    // gradient, input, weight
    {"prelu_backward", 3, 0, reals,    prelu_backward},
    // gradient, input: of the weight, before it is summed
    {"prelu_weight_backward", 2, 0, reals,    prelu_weight_backward},
    {"mse_backward", 3, 1, reals,    mse_backward},
    {"smooth_l1_backward", 3, 2, reals,    smooth_l1_backward},
    {"huber_backward", 3, 2, reals,    huber_backward},
    {"binary_cross_entropy_backward", 3, 0, reals,    binary_cross_entropy_backward},
};
// clang-format on

}  // namespace

std::span<const ElementwiseOp> elementwise_table() { return kTable; }

const ElementwiseOp* find_elementwise(std::string_view name) {
  static const auto* const by_name = [] {
    auto* map = new std::unordered_map<std::string_view, const ElementwiseOp*>;
    for (const ElementwiseOp& op : kTable) map->emplace(op.name, &op);
    return map;
  }();
  const auto found = by_name->find(name);
  return found == by_name->end() ? nullptr : found->second;
}

std::vector<std::string_view> elementwise_names() {
  std::vector<std::string_view> names;
  for (const ElementwiseOp& op : kTable) names.push_back(op.name);
  return names;
}

}  // namespace npu::kernels

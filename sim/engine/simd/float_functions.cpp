// Element-wise functions of f32 and f64. Transcendental ones come from SLEEF with at most 1 ulp of
// error (1.5 for erfc), the accuracy that PyTorch's CPU kernels have; erf in f32 has at most 2.5
// ulp (PyTorch's: 1.5e-7).
#include <cmath>
#include <limits>

#include "sim/engine/simd/map.h"
#include "sim/engine/special.h"

namespace npu::sim::NPU_SIMD {
namespace {

// clang-format off
#define NPU_ONE(Name, expression)                              \
  struct Name {                                                \
    template <class T> static T f(T x) { return expression; }  \
  };
#define NPU_TWO(Name, expression)                                   \
  struct Name {                                                     \
    template <class T> static T f(T x, T y) { return expression; }  \
  };
#define NPU_THREE(Name, expression)                                      \
  struct Name {                                                          \
    template <class T> static T f(T x, T y, T z) { return expression; }  \
  };
// clang-format on

inline float rint(float x) { return __builtin_rintf(x); }
inline double rint(double x) { return __builtin_rint(x); }
inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

NPU_ONE(Copy, x)
NPU_ONE(Neg, -x)
NPU_ONE(Abs, std::fabs(x))
NPU_ONE(Sign, T((x > 0) - (x < 0)))
NPU_ONE(Floor, std::floor(x))
NPU_ONE(Ceil, std::ceil(x))
NPU_ONE(Round, rint(x))
NPU_ONE(Trunc, std::trunc(x))
NPU_ONE(Frac, x - std::trunc(x))
NPU_ONE(Square, x* x)
NPU_ONE(Not, T(x == 0))
NPU_ONE(IsNan, T(x != x))
NPU_ONE(IsInf, T(std::fabs(x) == kInfinity<T>))
NPU_ONE(IsFinite, T(std::fabs(x) < kInfinity<T>))
NPU_ONE(IsPosInf, T(x == kInfinity<T>))
NPU_ONE(IsNegInf, T(x == -kInfinity<T>))
NPU_ONE(SignBit, T(std::copysign(T(1), x) < 0))
NPU_ONE(Relu, x < 0 ? T(0) : x)  // NaN stays
NPU_ONE(Recip, 1 / x)
NPU_ONE(Sqrt, std::sqrt(x))
NPU_ONE(Rsqrt, 1 / std::sqrt(x))
NPU_ONE(ErfInv, T(erfinv(x)))
NPU_ONE(Digamma, T(digamma(x)))

NPU_TWO(Add, x + y)
NPU_TWO(Sub, x - y)
NPU_TWO(Mul, x* y)
NPU_TWO(Div, x / y)
NPU_TWO(TruncDiv, std::trunc(x / y))
NPU_TWO(Max, x != x ? x : (y != y ? y : (x < y ? y : x)))
NPU_TWO(Min, x != x ? x : (y != y ? y : (y < x ? y : x)))
NPU_TWO(FMax, x != x ? y : (x < y ? y : x))
NPU_TWO(FMin, x != x ? y : (y < x ? y : x))
NPU_TWO(CopySign, std::copysign(x, y))
NPU_TWO(Eq, T(x == y))
NPU_TWO(Ne, T(x != y))
NPU_TWO(Lt, T(x < y))
NPU_TWO(Le, T(x <= y))
NPU_TWO(Gt, T(x > y))
NPU_TWO(Ge, T(x >= y))
NPU_TWO(LAnd, T((x != 0) & (y != 0)))
NPU_TWO(LOr, T((x != 0) | (y != 0)))
NPU_TWO(LXor, T((x != 0) ^ (y != 0)))

NPU_THREE(Where, x != 0 ? y : z)
NPU_THREE(Fma, fma(x, y, z))
// NaN in any of the three propagates; where the bounds cross, the upper one wins.
NPU_THREE(Clamp, Min::f(Max::f(x, y), z))
// The form that is exact at both ends.
NPU_THREE(Lerp, std::fabs(z) < T(0.5) ? x + z * (y - x) : y - (y - x) * (1 - z))

#undef NPU_ONE
#undef NPU_TWO
#undef NPU_THREE

#define NPU_SLEEF_ONE(Name, fn, accuracy)                        \
  struct Name {                                                  \
    static Vf f(Vf x) { return NPU_SLEEF_F32(fn, accuracy)(x); } \
    static Vd f(Vd x) { return NPU_SLEEF_F64(fn, accuracy)(x); } \
  };
#define NPU_SLEEF_TWO(Name, fn, accuracy)                                 \
  struct Name {                                                           \
    static Vf f(Vf x, Vf y) { return NPU_SLEEF_F32(fn, accuracy)(x, y); } \
    static Vd f(Vd x, Vd y) { return NPU_SLEEF_F64(fn, accuracy)(x, y); } \
  };

NPU_SLEEF_ONE(Exp2, exp2, u10)
NPU_SLEEF_ONE(Expm1, expm1, u10)
NPU_SLEEF_ONE(Log, log, u10)
NPU_SLEEF_ONE(Log2, log2, u10)
NPU_SLEEF_ONE(Log10, log10, u10)
NPU_SLEEF_ONE(Log1p, log1p, u10)
NPU_SLEEF_ONE(Sin, sin, u10)
NPU_SLEEF_ONE(Cos, cos, u10)
NPU_SLEEF_ONE(Tan, tan, u10)
NPU_SLEEF_ONE(Asin, asin, u10)
NPU_SLEEF_ONE(Acos, acos, u10)
NPU_SLEEF_ONE(Atan, atan, u10)
NPU_SLEEF_ONE(Sinh, sinh, u10)
NPU_SLEEF_ONE(Cosh, cosh, u10)
NPU_SLEEF_ONE(Tanh, tanh, u10)
NPU_SLEEF_ONE(Asinh, asinh, u10)
NPU_SLEEF_ONE(Acosh, acosh, u10)
NPU_SLEEF_ONE(Atanh, atanh, u10)
NPU_SLEEF_ONE(Erf, erf, u10)
NPU_SLEEF_ONE(Erfc, erfc, u15)
NPU_SLEEF_ONE(LGamma, lgamma, u10)
NPU_SLEEF_TWO(Pow, pow, u10)
NPU_SLEEF_TWO(Atan2, atan2, u10)
NPU_SLEEF_TWO(Hypot, hypot, u05)

#undef NPU_SLEEF_ONE
#undef NPU_SLEEF_TWO

// 32 floats and how to look some up by the low five bits of integers.
struct Lookup {
#ifdef __AVX512F__
  explicit Lookup(const float* table)
      : low(_mm512_load_ps(table)), high(_mm512_load_ps(table + 16)) {}
  Vf operator()(Vf index) const {
    return _mm512_permutex2var_ps(low, _mm512_castps_si512(index), high);
  }
  Vf low;
  Vf high;
#else
  explicit Lookup(const float* table) : table(table) {}
  Vf operator()(Vf index) const {
    const __m256i low = _mm256_and_si256(_mm256_castps_si256(index), _mm256_set1_epi32(31));
    return _mm256_i32gather_ps(table, low, 4);
  }
  const float* table;
#endif
};

inline Vf clamp_symmetric(Vf x, float bound) {  // NaN stays
#ifdef __AVX512F__
  return _mm512_max_ps(_mm512_set1_ps(-bound), _mm512_min_ps(_mm512_set1_ps(bound), x));
#else
  return _mm256_max_ps(_mm256_set1_ps(-bound), _mm256_min_ps(_mm256_set1_ps(bound), x));
#endif
}

inline Vf absolute(Vf x) {
#ifdef __AVX512F__
  return _mm512_abs_ps(x);
#else
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
#endif
}

inline Vf multiply_add(Vf x, Vf y, Vf z) {
#ifdef __AVX512F__
  return _mm512_fmadd_ps(x, y, z);
#else
  return _mm256_fmadd_ps(x, y, z);
#endif
}

inline Vf nearest(Vf x) {
#ifdef __AVX512F__
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#endif
}

// x * 2^n for an integer n in [-260, 254]; x in [1/2, 2].
inline Vf scale(Vf x, Vf n) {
#ifdef __AVX512F__
  return _mm512_scalef_ps(x, n);
#else
  // In two steps, of which only the second may round.
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const auto power = [](__m256i exponent) {
    const __m256i biased = _mm256_add_epi32(exponent, _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  };
  return x * power(half) * power(_mm256_sub_epi32(whole, half));
#endif
}

struct Exp {
  static Vf f(Vf x) {
    using Series = ExpSeries;
    const auto all = [](float value) { return value - Vf{}; };
    const Vf bounded = clamp_symmetric(x, Series::kFarthest);
    const Vf n = nearest(bounded * all(Series::kPerLog2));
    const Vf high = multiply_add(n, all(-Series::kLog2High), bounded);
    const Vf r = multiply_add(n, all(-Series::kLog2Low), high);
    Vf p = all(Series::kFirst);
    for (const float c : Series::kCoefficients) p = multiply_add(p, r, all(c));
    return scale(multiply_add(p, r * r, r) + 1.0f, n);
  }
  static Vd f(Vd x) { return NPU_SLEEF_F64(exp, u10)(x); }
};

void erf_f32(float* out, const float* a, int64_t n) {
  static_assert(ErfTable::kDegree == 4);
  const auto& table = erf_table().coefficient;
  const Lookup c0(table[0]);
  const Lookup c1(table[1]);
  const Lookup c2(table[2]);
  const Lookup c3(table[3]);
  const Lookup c4(table[4]);
  const auto f = [&](Vf x) {
    const Vf clamped = clamp_symmetric(x, ErfTable::kOne);
    const Vf size = absolute(clamped);
    const Vf shifted = size + ErfTable::kEighths;
    const Vf d = size - (shifted - ErfTable::kEighths);
    Vf p = multiply_add(c4(shifted), d, c3(shifted));
    p = multiply_add(p, d, c2(shifted));
    p = multiply_add(p, d, c1(shifted));
    p = multiply_add(p, d, c0(shifted));
    return p * clamped;
  };
  int64_t i = 0;
  for (; i + kLanes<float> <= n; i += kLanes<float>) store(out + i, f(load<Vf>(a + i)));
  if (i < n) store_tail(out + i, f(load_tail(a + i, n - i)), n - i);
}

struct Sigmoid {
  template <class V>
  static V f(V x) {
    return 1 / (1 + Exp::f(-x));
  }
};

struct NextAfter {
  static float f(float x, float y) { return std::nextafter(x, y); }
  static double f(double x, double y) { return std::nextafter(x, y); }
};

// Exact, unlike SLEEF's, which is for quotients up to 1e38 (1e300).
struct FMod {
  template <class T>
  static T f(T x, T y) {
    return std::fmod(x, y);
  }
};

// The remainder takes the sign of the divisor.
struct Mod {
  template <class T>
  static T f(T x, T y) {
    const T rest = std::fmod(x, y);
    return rest != 0 && (y < 0) != (rest < 0) ? rest + y : rest;
  }
};

// Python's floor division: consistent with Mod, so that x == y * floordiv + mod up to rounding.
struct FloorDiv {
  template <class T>
  static T f(T x, T y) {
    if (y == 0) return x / y;
    const T rest = std::fmod(x, y);
    T quotient = (x - rest) / y;
    if (rest != 0 && (y < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return std::copysign(T(0), x / y);
    const T floored = std::floor(quotient);
    return quotient - floored > T(0.5) ? floored + 1 : floored;
  }
};

template <class T>
void fill(ElementwiseTable<T>& table) {
  const auto one = [&](UnaryFn fn) -> auto& { return table.unary[static_cast<int>(fn)]; };
  one(UnaryFn::copy) = map1<T, Copy>;
  one(UnaryFn::neg) = map1<T, Neg>;
  one(UnaryFn::abs) = map1<T, Abs>;
  one(UnaryFn::sign) = map1<T, Sign>;
  one(UnaryFn::floor) = map1<T, Floor>;
  one(UnaryFn::ceil) = map1<T, Ceil>;
  one(UnaryFn::round) = map1<T, Round>;
  one(UnaryFn::trunc) = map1<T, Trunc>;
  one(UnaryFn::frac) = map1<T, Frac>;
  one(UnaryFn::square) = map1<T, Square>;
  one(UnaryFn::not_) = map1<T, Not>;
  one(UnaryFn::isnan) = map1<T, IsNan>;
  one(UnaryFn::isinf) = map1<T, IsInf>;
  one(UnaryFn::isfinite) = map1<T, IsFinite>;
  one(UnaryFn::isposinf) = map1<T, IsPosInf>;
  one(UnaryFn::isneginf) = map1<T, IsNegInf>;
  one(UnaryFn::signbit) = map1<T, SignBit>;
  one(UnaryFn::relu) = map1<T, Relu>;
  one(UnaryFn::recip) = map1<T, Recip>;
  one(UnaryFn::sqrt) = map1<T, Sqrt>;
  one(UnaryFn::rsqrt) = map1<T, Rsqrt>;
  one(UnaryFn::exp) = map1_register<T, Exp>;
  one(UnaryFn::exp2) = map1_register<T, Exp2>;
  one(UnaryFn::expm1) = map1_register<T, Expm1>;
  one(UnaryFn::log) = map1_register<T, Log>;
  one(UnaryFn::log2) = map1_register<T, Log2>;
  one(UnaryFn::log10) = map1_register<T, Log10>;
  one(UnaryFn::log1p) = map1_register<T, Log1p>;
  one(UnaryFn::sin) = map1_register<T, Sin>;
  one(UnaryFn::cos) = map1_register<T, Cos>;
  one(UnaryFn::tan) = map1_register<T, Tan>;
  one(UnaryFn::asin) = map1_register<T, Asin>;
  one(UnaryFn::acos) = map1_register<T, Acos>;
  one(UnaryFn::atan) = map1_register<T, Atan>;
  one(UnaryFn::sinh) = map1_register<T, Sinh>;
  one(UnaryFn::cosh) = map1_register<T, Cosh>;
  one(UnaryFn::tanh) = map1_register<T, Tanh>;
  one(UnaryFn::asinh) = map1_register<T, Asinh>;
  one(UnaryFn::acosh) = map1_register<T, Acosh>;
  one(UnaryFn::atanh) = map1_register<T, Atanh>;
  one(UnaryFn::erf) = map1_register<T, Erf>;
  one(UnaryFn::erfc) = map1_register<T, Erfc>;
  one(UnaryFn::erfinv) = map1<T, ErfInv>;
  one(UnaryFn::sigmoid) = map1_register<T, Sigmoid>;
  one(UnaryFn::lgamma) = map1_register<T, LGamma>;
  one(UnaryFn::digamma) = map1<T, Digamma>;

  const auto two = [&](BinaryFn fn) -> auto& { return table.binary[static_cast<int>(fn)]; };
  two(BinaryFn::add) = map2<T, Add>;
  two(BinaryFn::sub) = map2<T, Sub>;
  two(BinaryFn::mul) = map2<T, Mul>;
  two(BinaryFn::div) = map2<T, Div>;
  two(BinaryFn::floordiv) = map2<T, FloorDiv>;
  two(BinaryFn::truncdiv) = map2<T, TruncDiv>;
  two(BinaryFn::mod) = map2<T, Mod>;
  two(BinaryFn::fmod) = map2<T, FMod>;
  two(BinaryFn::max) = map2<T, Max>;
  two(BinaryFn::min) = map2<T, Min>;
  two(BinaryFn::fmax) = map2<T, FMax>;
  two(BinaryFn::fmin) = map2<T, FMin>;
  two(BinaryFn::pow) = map2_register<T, Pow>;
  two(BinaryFn::atan2) = map2_register<T, Atan2>;
  two(BinaryFn::hypot) = map2_register<T, Hypot>;
  two(BinaryFn::copysign) = map2<T, CopySign>;
  two(BinaryFn::nextafter) = map2<T, NextAfter>;
  two(BinaryFn::eq) = map2<T, Eq>;
  two(BinaryFn::ne) = map2<T, Ne>;
  two(BinaryFn::lt) = map2<T, Lt>;
  two(BinaryFn::le) = map2<T, Le>;
  two(BinaryFn::gt) = map2<T, Gt>;
  two(BinaryFn::ge) = map2<T, Ge>;
  two(BinaryFn::land) = map2<T, LAnd>;
  two(BinaryFn::lor) = map2<T, LOr>;
  two(BinaryFn::lxor) = map2<T, LXor>;

  const auto three = [&](TernaryFn fn) -> auto& { return table.ternary[static_cast<int>(fn)]; };
  three(TernaryFn::where) = map3<T, Where>;
  three(TernaryFn::fma) = map3<T, Fma>;
  three(TernaryFn::clamp) = map3<T, Clamp>;
  three(TernaryFn::lerp) = map3<T, Lerp>;
}

}  // namespace

void fill_float_functions(VectorTable& table) {
  fill(table.f32);
  table.f32.unary[static_cast<int>(UnaryFn::erf)] = erf_f32;
  fill(table.f64);
}

}  // namespace npu::sim::NPU_SIMD

// Each function of each host instruction set against the standard library in higher precision.
#include "sim/engine/simd/vector_table.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace npu::sim {
namespace {

// f32 is checked against double, f64 against long double.
template <class T>
using Wider = std::conditional_t<std::is_same_v<T, float>, double, long double>;

template <class T>
std::vector<T> special_values() {
  using L = std::numeric_limits<T>;
  std::vector<T> values = {0, T(0.25), T(0.5), T(0.7), 1,       T(1.5), 2,        T(2.5),
                           3, 5,       T(7.7), 10,     T(33.3), 100,    T(1000.5)};
  for (T x : {L::denorm_min(), T(5) * L::denorm_min(), L::min(), L::epsilon(), L::max() / 2,
              L::max(), L::infinity()}) {
    values.push_back(x);
  }
  const size_t positive = values.size();
  for (size_t i = 0; i < positive; ++i) values.push_back(-values[i]);
  values.push_back(L::quiet_NaN());
  std::mt19937 generator(1);
  std::normal_distribution<T> normal(0, 3);
  std::uniform_real_distribution<T> unit(-1, 1);
  for (int i = 0; i < 150; ++i) {
    values.push_back(normal(generator));
    values.push_back(unit(generator));
  }
  return values;
}

// Distance in units of the last place of the expected value; 0 for equal, two NaN, same infinity.
template <class T>
double ulps(T got, Wider<T> exact) {
  const T expected = static_cast<T>(exact);
  if (std::isnan(got) || std::isnan(expected))
    return std::isnan(got) == std::isnan(expected) ? 0 : 1e9;
  if (got == expected) return std::signbit(got) == std::signbit(expected) || got != 0 ? 0 : 1e8;
  if (std::isinf(got) || std::isinf(expected)) return 1e7;
  const T magnitude = std::max(std::abs(expected), std::numeric_limits<T>::min());
  const T ulp = std::nextafter(magnitude, std::numeric_limits<T>::infinity()) - magnitude;
  return static_cast<double>(std::abs(static_cast<Wider<T>>(got) - exact) / ulp);
}

template <class T>
struct UnaryCase {
  template <class F>
  UnaryCase(UnaryFn fn, F reference, double tolerance,
            T lower = -std::numeric_limits<T>::infinity(),
            T upper = std::numeric_limits<T>::infinity())
      : fn(fn), reference(reference), tolerance(tolerance), lower(lower), upper(upper) {}

  UnaryFn fn;
  std::function<Wider<T>(Wider<T>)> reference;
  double tolerance;  // ulps
  T lower;           // tested in this range only
  T upper;
};

template <class T>
std::vector<UnaryCase<T>> unary_cases() {
  using W = Wider<T>;
  const W pi = std::acos(W(-1));
  const T angle = std::is_same_v<T, float> ? T(3e4) : T(1e9);
  return {
      {UnaryFn::copy, [](W x) { return x; }, 0},
      {UnaryFn::neg, [](W x) { return -x; }, 0},
      {UnaryFn::abs, [](W x) { return std::abs(x); }, 0},
      {UnaryFn::sign, [](W x) -> W { return (x > 0) - (x < 0); }, 0},
      {UnaryFn::floor, [](W x) { return std::floor(x); }, 0},
      {UnaryFn::ceil, [](W x) { return std::ceil(x); }, 0},
      {UnaryFn::round, [](W x) { return std::nearbyint(x); }, 0},
      {UnaryFn::trunc, [](W x) { return std::trunc(x); }, 0},
      {UnaryFn::frac, [](W x) -> W { return std::isinf(x) ? NAN : x - std::trunc(x); }, 0},
      {UnaryFn::square, [](W x) { return x * x; }, 0.5001},
      {UnaryFn::not_, [](W x) -> W { return x == 0; }, 0},
      {UnaryFn::isnan, [](W x) -> W { return std::isnan(x); }, 0},
      {UnaryFn::isinf, [](W x) -> W { return std::isinf(x); }, 0},
      {UnaryFn::isfinite, [](W x) -> W { return std::isfinite(x); }, 0},
      {UnaryFn::isposinf, [](W x) -> W { return std::isinf(x) && x > 0; }, 0},
      {UnaryFn::isneginf, [](W x) -> W { return std::isinf(x) && x < 0; }, 0},
      {UnaryFn::signbit, [](W x) -> W { return std::signbit(x); }, 0},
      {UnaryFn::relu, [](W x) { return x < 0 ? W(0) : x; }, 0},
      {UnaryFn::recip, [](W x) { return 1 / x; }, 0.5001},
      {UnaryFn::sqrt, [](W x) { return std::sqrt(x); }, 0.5001},
      {UnaryFn::rsqrt, [](W x) { return 1 / std::sqrt(x); }, 1.5},
      {UnaryFn::exp, [](W x) { return std::exp(x); }, 1.1},
      {UnaryFn::exp2, [](W x) { return std::exp2(x); }, 1.1},
      {UnaryFn::expm1, [](W x) { return std::expm1(x); }, 1.1},
      {UnaryFn::log, [](W x) { return std::log(x); }, 1.1},
      {UnaryFn::log2, [](W x) { return std::log2(x); }, 1.1},
      {UnaryFn::log10, [](W x) { return std::log10(x); }, 1.1},
      {UnaryFn::log1p, [](W x) { return std::log1p(x); }, 1.1, -2, T(1e30)},
      {UnaryFn::sin, [](W x) { return std::sin(x); }, 1.1, -angle, angle},
      {UnaryFn::cos, [](W x) { return std::cos(x); }, 1.1, -angle, angle},
      {UnaryFn::tan, [](W x) { return std::tan(x); }, 1.1, -angle, angle},
      {UnaryFn::asin, [](W x) { return std::asin(x); }, 1.1},
      {UnaryFn::acos, [](W x) { return std::acos(x); }, 1.1},
      {UnaryFn::atan, [](W x) { return std::atan(x); }, 1.1},
      {UnaryFn::sinh, [](W x) { return std::sinh(x); }, 1.1, -88, 88},
      {UnaryFn::cosh, [](W x) { return std::cosh(x); }, 1.1, -88, 88},
      {UnaryFn::tanh, [](W x) { return std::tanh(x); }, 1.1},
      {UnaryFn::asinh, [](W x) { return std::asinh(x); }, 1.1, T(-1e15), T(1e15)},
      {UnaryFn::acosh, [](W x) { return std::acosh(x); }, 1.1, -2, T(1e15)},
      {UnaryFn::atanh, [](W x) { return std::atanh(x); }, 1.1},
      {UnaryFn::erf, [](W x) { return std::erf(x); }, std::is_same_v<T, float> ? 2.5 : 1.1},
      {UnaryFn::erfc, [](W x) { return std::erfc(x); }, 1.6, -30,
       std::is_same_v<T, float> ? T(9) : T(25)},
      {UnaryFn::sigmoid, [](W x) { return 1 / (1 + std::exp(-x)); }, 2.6, -80, 1000},
      {UnaryFn::lgamma, [](W x) { return std::lgamma(x); }, 1.5, T(0.01), T(1e10)},
      // The argument's rounding comes back magnified: tested by going back.
      {UnaryFn::digamma,
       [pi](W x) -> W {
         W result = 0;
         if (x < 0) {
           if (x == std::floor(x)) return NAN;
           result = -pi / std::tan(pi * (x - std::trunc(x)));
           x = 1 - x;
         }
         for (; x < 50; x += 1) result -= 1 / x;
         const W z = 1 / (x * x);
         return result + std::log(x) - W(0.5) / x -
                z * (W(1) / 12 - z * (W(1) / 120 - z * (W(1) / 252 - z / 240)));
       },
       64, T(-8.5), T(1e10)},
  };
}

template <class T>
const ElementwiseTable<T>& functions(const VectorTable& table);
template <>
const ElementwiseTable<float>& functions<float>(const VectorTable& table) {
  return table.f32;
}
template <>
const ElementwiseTable<double>& functions<double>(const VectorTable& table) {
  return table.f64;
}

class VectorTableTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    table_ = vector_table(GetParam());
    if (table_ == nullptr) GTEST_SKIP() << "this host has no " << GetParam();
  }

  template <class T>
  void check_unary() {
    for (const UnaryCase<T>& test : unary_cases<T>()) {
      std::vector<T> in;
      for (T x : special_values<T>()) {
        if (std::isnan(x) || (x >= test.lower && x <= test.upper)) in.push_back(x);
      }
      std::vector<T> out(in.size());
      functions<T>(*table_).unary[static_cast<int>(test.fn)](out.data(), in.data(),
                                                             static_cast<int64_t>(in.size()));
      for (size_t i = 0; i < in.size(); ++i) {
        // psi has a zero near 1.46 and poles: absolute error decides beside them.
        if (test.fn == UnaryFn::digamma &&
            std::abs(out[i] - static_cast<T>(test.reference(in[i]))) <
                16 * std::numeric_limits<T>::epsilon()) {
          continue;
        }
        EXPECT_LE(ulps(out[i], test.reference(in[i])), test.tolerance)
            << fn_name(Opcode::v_unary, static_cast<uint8_t>(test.fn)) << "(" << in[i] << ") gave "
            << out[i] << ", not " << static_cast<T>(test.reference(in[i]));
      }
    }
  }

  template <class T>
  void check_binary() {
    using W = Wider<T>;
    struct Case {
      BinaryFn fn;
      std::function<W(W, W)> reference;
      double tolerance;
    };
    const auto remainder = [](W x, W y) {
      const W rest = std::fmod(x, y);
      return rest != 0 && (y < 0) != (rest < 0) ? W(T(rest + y)) : rest;
    };
    const std::vector<Case> cases = {
        {BinaryFn::add, [](W x, W y) { return x + y; }, 0.5001},
        {BinaryFn::sub, [](W x, W y) { return x - y; }, 0.5001},
        {BinaryFn::mul, [](W x, W y) { return x * y; }, 0.5001},
        {BinaryFn::div, [](W x, W y) { return x / y; }, 0.5001},
        {BinaryFn::truncdiv, [](W x, W y) { return std::trunc(W(T(x / y))); }, 0},
        {BinaryFn::mod, remainder, 0},
        {BinaryFn::fmod, [](W x, W y) { return std::fmod(x, y); }, 0},
        {BinaryFn::max,
         [](W x, W y) -> W { return std::isnan(x) || std::isnan(y) ? NAN
                                    : x < y                        ? y
                                                                   : x; }, 0},
        {BinaryFn::min,
         [](W x, W y) -> W { return std::isnan(x) || std::isnan(y) ? NAN
                                    : y < x                        ? y
                                                                   : x; }, 0},
        {BinaryFn::fmax, [](W x, W y) { return std::isnan(x) ? y
                                               : x < y       ? y
                                                             : x; }, 0},
        {BinaryFn::fmin, [](W x, W y) { return std::isnan(x) ? y
                                               : y < x       ? y
                                                             : x; }, 0},
        {BinaryFn::copysign, [](W x, W y) { return std::copysign(x, y); }, 0},
        {BinaryFn::nextafter, [](W x, W y) -> W { return std::nextafter(T(x), T(y)); }, 0},
        {BinaryFn::atan2, [](W x, W y) { return std::atan2(x, y); }, 1.1},
        {BinaryFn::eq, [](W x, W y) -> W { return x == y; }, 0},
        {BinaryFn::ne, [](W x, W y) -> W { return x != y; }, 0},
        {BinaryFn::lt, [](W x, W y) -> W { return x < y; }, 0},
        {BinaryFn::le, [](W x, W y) -> W { return x <= y; }, 0},
        {BinaryFn::gt, [](W x, W y) -> W { return x > y; }, 0},
        {BinaryFn::ge, [](W x, W y) -> W { return x >= y; }, 0},
        {BinaryFn::land, [](W x, W y) -> W { return x != 0 && y != 0; }, 0},
        {BinaryFn::lor, [](W x, W y) -> W { return x != 0 || y != 0; }, 0},
        {BinaryFn::lxor, [](W x, W y) -> W { return (x != 0) != (y != 0); }, 0},
    };
    const std::vector<T> values = special_values<T>();
    std::mt19937 generator(2);
    std::vector<T> a;
    std::vector<T> b;
    for (int i = 0; i < 3001; ++i) {
      a.push_back(values[generator() % values.size()]);
      b.push_back(values[generator() % values.size()]);
    }
    const auto n = static_cast<int64_t>(a.size());
    for (const Case& test : cases) {
      const auto function = functions<T>(*table_).binary[static_cast<int>(test.fn)];
      std::vector<T> out(a.size());
      for (int broadcast = 0; broadcast < 4; ++broadcast) {
        const bool x = broadcast & 1;
        const bool y = broadcast & 2;
        function(out.data(), {a.data() + 7 * x, x}, {b.data() + 9 * y, y}, n);
        for (size_t i = 0; i < out.size(); ++i) {
          const T p = x ? a[7] : a[i];
          const T q = y ? b[9] : b[i];
          ASSERT_LE(ulps(out[i], test.reference(p, q)), test.tolerance)
              << fn_name(Opcode::v_binary, static_cast<uint8_t>(test.fn)) << "(" << p << ", " << q
              << ") gave " << out[i];
        }
      }
    }
  }

  const VectorTable* table_ = nullptr;
};

TEST_P(VectorTableTest, UnaryF32) { check_unary<float>(); }
TEST_P(VectorTableTest, UnaryF64) { check_unary<double>(); }
TEST_P(VectorTableTest, BinaryF32) { check_binary<float>(); }
TEST_P(VectorTableTest, BinaryF64) { check_binary<double>(); }

TEST_P(VectorTableTest, PowerAndHypotenuse) {
  const auto pow = table_->f32.binary[static_cast<int>(BinaryFn::pow)];
  const auto hypot = table_->f32.binary[static_cast<int>(BinaryFn::hypot)];
  std::vector<float> a;
  std::vector<float> b;
  for (float x : {0.0f, -0.0f, 0.5f, 1.0f, -1.0f, 2.0f, -2.0f, 3.7f, INFINITY, -INFINITY, NAN}) {
    for (float y : {0.0f, 1.0f, -1.0f, 2.0f, 3.0f, 0.5f, -2.5f, INFINITY, -INFINITY, NAN}) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  std::vector<float> out(a.size());
  const auto n = static_cast<int64_t>(a.size());
  pow(out.data(), {a.data(), false}, {b.data(), false}, n);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_LE(ulps(out[i], std::pow(double{a[i]}, double{b[i]})), 1.1) << a[i] << " ^ " << b[i];
  }
  hypot(out.data(), {a.data(), false}, {b.data(), false}, n);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_LE(ulps(out[i], std::hypot(double{a[i]}, double{b[i]})), 0.6) << a[i] << " " << b[i];
  }
}

TEST_P(VectorTableTest, FloorDivisionAgreesWithPython) {
  const auto floordiv = table_->f32.binary[static_cast<int>(BinaryFn::floordiv)];
  const float a[] = {7, -7, 7, -7, 5, -5, 0, 1, 3, 0, 6.5f, -6.5f};
  const float b[] = {2, 2, -2, -2, INFINITY, INFINITY, -3, 0, 0, 0, 0.5f, 0.5f};
  const float expected[] = {3, -4, -4, 3, 0, -1, -0.0f, INFINITY, INFINITY, NAN, 13, -13};
  float out[12];
  floordiv(out, {a, false}, {b, false}, 12);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(ulps(out[i], expected[i]), 0) << a[i] << " // " << b[i];
}

TEST_P(VectorTableTest, InverseErrorFunctionGoesBack) {
  const auto erfinv = table_->f64.unary[static_cast<int>(UnaryFn::erfinv)];
  std::vector<double> in = {0.0, -0.0, 1.0, -1.0, 1.5, NAN};
  for (double y = -0.999; y < 1; y += 0.003) in.push_back(y);
  for (double tail = 0.01; tail > 1e-15; tail /= 7) in.push_back(1 - tail);
  std::vector<double> out(in.size());
  erfinv(out.data(), in.data(), static_cast<int64_t>(in.size()));
  EXPECT_EQ(out[0], 0);
  EXPECT_TRUE(std::signbit(out[1]));
  EXPECT_EQ(out[2], INFINITY);
  EXPECT_EQ(out[3], -INFINITY);
  EXPECT_TRUE(std::isnan(out[4]) && std::isnan(out[5]));
  for (size_t i = 6; i < in.size(); ++i) {
    const long double x = out[i];
    // erf and erfc have a condition of their own; one ulp of x moves them by this much.
    const long double slope = 2 / std::sqrt(std::acos(-1.0L)) * std::exp(-x * x);
    const long double miss =
        in[i] > 0.5 ? std::erfc(x) - (1 - static_cast<long double>(in[i])) : std::erf(x) - in[i];
    EXPECT_LE(std::abs(miss), slope * std::abs(x) * 4e-16L + 1e-300L) << in[i];
  }
}

TEST_P(VectorTableTest, Integers) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  struct Case {
    BinaryFn fn;
    int64_t a, b, expected;
  };
  const Case cases[] = {
      {BinaryFn::add, kMax, 1, kMin},
      {BinaryFn::sub, kMin, 1, kMax},
      {BinaryFn::mul, kMax, 2, -2},
      {BinaryFn::floordiv, -7, 2, -4},
      {BinaryFn::floordiv, 7, -2, -4},
      {BinaryFn::floordiv, -8, 2, -4},
      {BinaryFn::floordiv, kMin, -1, kMin},
      {BinaryFn::truncdiv, -7, 2, -3},
      {BinaryFn::truncdiv, kMin, -1, kMin},
      {BinaryFn::mod, -7, 2, 1},
      {BinaryFn::mod, 7, -2, -1},
      {BinaryFn::mod, kMin, -1, 0},
      {BinaryFn::fmod, -7, 2, -1},
      {BinaryFn::fmod, kMin, -1, 0},
      {BinaryFn::pow, 3, 5, 243},
      {BinaryFn::pow, -2, 63, kMin},
      {BinaryFn::pow, 0, 0, 1},
      {BinaryFn::pow, 5, -1, 0},
      {BinaryFn::pow, -1, -3, -1},
      {BinaryFn::pow, -1, -4, 1},
      {BinaryFn::pow, 1, -9, 1},
      {BinaryFn::shl, 1, 62, int64_t{1} << 62},
      {BinaryFn::shl, 1, 64, 0},
      {BinaryFn::shl, 5, -1, 0},
      {BinaryFn::shr, -5, 1, -3},
      {BinaryFn::shr, -5, 64, -1},
      {BinaryFn::shr, 5, -1, 0},
      {BinaryFn::gcd, -12, 18, 6},
      {BinaryFn::gcd, 0, 0, 0},
      {BinaryFn::gcd, kMin, 0, kMin},
      {BinaryFn::and_, 12, 10, 8},
      {BinaryFn::or_, 12, 10, 14},
      {BinaryFn::xor_, 12, 10, 6},
      {BinaryFn::max, -3, 2, 2},
      {BinaryFn::fmin, -3, 2, -3},
      {BinaryFn::lt, kMin, kMax, 1},
      {BinaryFn::land, 4, 2, 1},
      {BinaryFn::lxor, 4, 2, 0},
  };
  for (const Case& test : cases) {
    int64_t out[9];
    const std::vector<int64_t> a(9, test.a);
    table_->i64.binary[static_cast<int>(test.fn)](out, {a.data(), false}, {&test.b, true}, 9);
    for (int64_t x : out) {
      ASSERT_EQ(x, test.expected) << fn_name(Opcode::v_binary, static_cast<uint8_t>(test.fn)) << "("
                                  << test.a << ", " << test.b << ")";
    }
  }
  const int64_t in[] = {kMin, -1, 0, 5};
  int64_t out[4];
  table_->i64.unary[static_cast<int>(UnaryFn::abs)](out, in, 4);
  EXPECT_EQ(out[0], kMin);
  EXPECT_EQ(out[1], 1);
  table_->i64.unary[static_cast<int>(UnaryFn::bitnot)](out, in, 4);
  EXPECT_EQ(out[3], ~int64_t{5});
}

TEST_P(VectorTableTest, Ternary) {
  const auto ternary = [&](TernaryFn fn, float a, float b, float c) {
    float out = 0;
    table_->f32.ternary[static_cast<int>(fn)](&out, {&a, false}, {&b, true}, {&c, true}, 1);
    return out;
  };
  EXPECT_EQ(ternary(TernaryFn::where, 0.5f, 1, 2), 1);
  EXPECT_EQ(ternary(TernaryFn::where, -0.0f, 1, 2), 2);
  EXPECT_EQ(ternary(TernaryFn::where, NAN, 1, 2), 1);
  EXPECT_EQ(ternary(TernaryFn::fma, 1 + 0x1p-12f, 1 + 0x1p-12f, -1), 0x1p-11f + 0x1p-24f);
  EXPECT_EQ(ternary(TernaryFn::clamp, 5, 3, 2), 2);
  EXPECT_TRUE(std::isnan(ternary(TernaryFn::clamp, NAN, 0, 1)));
  EXPECT_TRUE(std::isnan(ternary(TernaryFn::clamp, 1, NAN, 1)));
  EXPECT_EQ(ternary(TernaryFn::lerp, 2, 6, 0.25f), 3);
  EXPECT_EQ(ternary(TernaryFn::lerp, 1e8f, 3, 1), 3);
}

// Lengths around the width of a register; nothing behind the end is touched.
TEST_P(VectorTableTest, TailsStayInside) {
  for (int64_t n = 0; n < 70; ++n) {
    std::vector<float> in(static_cast<size_t>(n), 1.0f);
    std::vector<float> out(static_cast<size_t>(n) + 8, -7.0f);
    table_->f32.unary[static_cast<int>(UnaryFn::exp)](out.data(), in.data(), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_NEAR(out[i], std::exp(1.0f), 1e-6f);
    for (int64_t i = n; i < n + 8; ++i) ASSERT_EQ(out[i], -7.0f);
    std::vector<uint16_t> halves(static_cast<size_t>(n) + 8, 0xabcd);
    table_->store[0][static_cast<int>(DType::f16)](halves.data(), in.data(), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(halves[i], 0x3c00);
    ASSERT_EQ(halves[n], 0xabcd);
  }
}

TEST_P(VectorTableTest, SixteenBitFloatsRoundToNearestEven) {
  const auto bf16 = table_->store[0][static_cast<int>(DType::bf16)];
  const auto f16 = table_->store[0][static_cast<int>(DType::f16)];
  const float in[] = {1.0f,          1 + 0x1p-8f,
                      1 + 0x1.8p-7f, 1 + 0x1.001p-8f,
                      INFINITY,      std::bit_cast<float>(0x7f800001u),
                      -0.0f,         0x1p-149f,
                      3.4e38f};
  uint16_t out[9];
  bf16(out, in, 9);
  const uint16_t expected[] = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7fc0, 0x8000, 0, 0x7f80};
  for (int i = 0; i < 9; ++i) EXPECT_EQ(out[i], expected[i]) << in[i];
  const float halves[] = {65504, 65519, 65520, 0x1p-24f, 0x1p-25f, 0x1.8p-25f, 1 + 0x1p-11f};
  f16(out, halves, 7);
  const uint16_t expected_halves[] = {0x7bff, 0x7bff, 0x7c00, 1, 0, 1, 0x3c00};
  for (int i = 0; i < 7; ++i) EXPECT_EQ(out[i], expected_halves[i]) << halves[i];
  // Every half survives the way there and back.
  const auto load = table_->load[0][static_cast<int>(DType::f16)];
  std::vector<uint16_t> all(65536);
  std::iota(all.begin(), all.end(), uint16_t{0});
  std::vector<float> floats(all.size());
  std::vector<uint16_t> back(all.size());
  load(floats.data(), all.data(), 65536);
  f16(back.data(), floats.data(), 65536);
  for (size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(floats[i])) continue;
    ASSERT_EQ(back[i], all[i]);
  }
}

TEST_P(VectorTableTest, FloatsToIntegers) {
  const float in[] = {-1.5f, 300.7f, 3e9f, 0.5f, -0.0f, 40000.0f};
  int32_t words[6];
  table_->store[0][static_cast<int>(DType::i32)](words, in, 6);
  EXPECT_EQ(words[0], -1);
  EXPECT_EQ(words[1], 300);
  EXPECT_EQ(words[2], std::numeric_limits<int32_t>::min());
  int8_t bytes[6];
  table_->store[0][static_cast<int>(DType::i8)](bytes, in, 6);
  EXPECT_EQ(bytes[0], -1);
  EXPECT_EQ(bytes[1], 44);
  uint8_t unsigned_bytes[6];
  table_->store[0][static_cast<int>(DType::u8)](unsigned_bytes, in, 6);
  EXPECT_EQ(unsigned_bytes[0], 255);
  uint8_t truth[6];
  table_->store[0][static_cast<int>(DType::b8)](truth, in, 6);
  EXPECT_EQ(truth[3], 1);
  EXPECT_EQ(truth[4], 0);
  const int64_t wide[] = {-1, 256, 0};
  table_->store[2][static_cast<int>(DType::i8)](bytes, wide, 3);
  EXPECT_EQ(bytes[0], -1);
  EXPECT_EQ(bytes[1], 0);
  table_->store[2][static_cast<int>(DType::b8)](truth, wide, 3);
  EXPECT_EQ(truth[1], 1);  // a wrap would lose it
}

TEST_P(VectorTableTest, ReductionsAreAccurate) {
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (int64_t n : {1, 2, 15, 16, 17, 63, 64, 65, 100, 1023, 1024, 1025, 5000, 1000000}) {
    std::vector<float> ones(static_cast<size_t>(n), 1.0f);
    EXPECT_EQ(table_->reduce_f32[0](ones.data(), n), static_cast<float>(n));
    std::vector<float> in(static_cast<size_t>(n));
    double sum = 0;
    double size = 0;
    for (float& x : in) {
      x = uniform(generator);
      sum += x;
      size += std::abs(x);
    }
    EXPECT_NEAR(table_->reduce_f32[0](in.data(), n), sum, size * 4e-7);
    EXPECT_EQ(table_->reduce_f32[2](in.data(), n), *std::max_element(in.begin(), in.end()));
    EXPECT_EQ(table_->reduce_f32[3](in.data(), n), *std::min_element(in.begin(), in.end()));
    in[static_cast<size_t>(n) / 2] = NAN;
    EXPECT_TRUE(std::isnan(table_->reduce_f32[2](in.data(), n)));
    EXPECT_TRUE(std::isnan(table_->reduce_f32[3](in.data(), n)));
    std::vector<int64_t> integers(static_cast<size_t>(n), -3);
    EXPECT_EQ(table_->reduce_i64[0](integers.data(), n), -3 * n);
    EXPECT_EQ(table_->reduce_i64[2](integers.data(), n), -3);
  }
}

TEST_P(VectorTableTest, TransposesOfAnySize) {
  std::mt19937 generator(4);
  for (int trial = 0; trial < 40; ++trial) {
    const int64_t rows = 1 + generator() % 70;
    const int64_t cols = 1 + generator() % 70;
    const int64_t in_ld = cols + generator() % 3;
    const int64_t out_ld = rows + generator() % 3;
    const auto check = [&]<class T>(int code, T) {
      std::vector<T> in(static_cast<size_t>(rows * in_ld));
      for (T& x : in) x = static_cast<T>(generator());
      std::vector<T> out(static_cast<size_t>(cols * out_ld), T(77));
      table_->transpose[code](out.data(), out_ld, in.data(), in_ld, rows, cols);
      for (int64_t c = 0; c < cols; ++c) {
        for (int64_t r = 0; r < out_ld; ++r) {
          ASSERT_EQ(out[c * out_ld + r], r < rows ? in[r * in_ld + c] : T(77));
        }
      }
    };
    check(0, uint8_t{});
    check(1, uint16_t{});
    check(2, uint32_t{});
    check(3, uint64_t{});
  }
}

TEST_P(VectorTableTest, DotProducts) {
  std::mt19937 generator(5);
  for (int64_t m : {1, 3, 4, 9}) {
    for (int64_t n : {1, 4, 7}) {
      for (int64_t k : {1, 7, 16, 31, 64, 100}) {
        std::vector<float> a(static_cast<size_t>(m * k));
        std::vector<float> b(static_cast<size_t>(n * k));
        for (float& x : a) x = static_cast<float>(generator() % 17) - 8;
        for (float& x : b) x = static_cast<float>(generator() % 17) - 8;
        std::vector<uint16_t> a16(a.size());
        std::vector<uint16_t> b16(b.size());
        const auto narrow = table_->store[0][static_cast<int>(DType::bf16)];
        narrow(a16.data(), a.data(), m * k);
        narrow(b16.data(), b.data(), n * k);
        for (bool accumulate : {false, true}) {
          std::vector<float> out(static_cast<size_t>(m * n), 3);
          std::vector<float> out16(out);
          table_->dot_f32(out.data(), n, a.data(), k, b.data(), k, m, n, k, accumulate);
          table_->dot_bf16(out16.data(), n, a16.data(), k, b16.data(), k, m, n, k, accumulate);
          for (int64_t i = 0; i < m; ++i) {
            for (int64_t j = 0; j < n; ++j) {
              const float sum = std::inner_product(a.begin() + i * k, a.begin() + (i + 1) * k,
                                                   b.begin() + j * k, accumulate ? 3.0f : 0.0f);
              ASSERT_EQ(out[i * n + j], sum);
              ASSERT_EQ(out16[i * n + j], sum);
            }
          }
        }
      }
    }
  }
}

// Known answers of the paper's own test vectors.
TEST_P(VectorTableTest, Philox) {
  uint32_t words[4 * 40];
  table_->philox(words, 0, 0, 40);
  EXPECT_EQ(words[0], 0x6627e8d5u);
  EXPECT_EQ(words[1], 0xe169c58du);
  EXPECT_EQ(words[2], 0xbc57ac4cu);
  EXPECT_EQ(words[3], 0x9b00dbd8u);
  uint32_t later[4];
  table_->philox(later, 0, 37, 1);
  EXPECT_EQ(std::memcmp(later, words + 4 * 37, sizeof(later)), 0);
}

INSTANTIATE_TEST_SUITE_P(Hosts, VectorTableTest, testing::Values("avx2", "avx512"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace npu::sim

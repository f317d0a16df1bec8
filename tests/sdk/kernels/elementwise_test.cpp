#include "npu/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>

#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels {
namespace {

using testing::DeviceTensor;
using testing::expect_close;
using testing::random_values;
using testing::rounded;
using testing::stream;
using testing::tolerance;
using Values = std::vector<double>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor immediate(npuDataType type, Scalar value, const Tensor& like) {
  Tensor result = like;
  result.data = nullptr;
  result.dtype = type;
  result.immediate = value;
  return result;
}

npuStatus run(const char* name, const Tensor& out, std::initializer_list<Tensor> inputs,
              std::initializer_list<Scalar> scalars = {}) {
  return elementwise(find_elementwise(name), {&out, 1}, {inputs.begin(), inputs.size()},
                     {scalars.begin(), scalars.size()}, stream());
}

TEST(Elementwise, AddsContiguousTensorsOfAllSizes) {
  for (int64_t n : {1, 3, 1024, 8192, 8193, 70001}) {
    DeviceTensor a(NPU_F32, {n}), b(NPU_F32, {n}), c(NPU_F32, {n});
    const Values x = random_values(NPU_F32, n, -4, 4, 1), y = random_values(NPU_F32, n, -4, 4, 2);
    a.set(x);
    b.set(y);
    NPU_ASSERT_OK(run("add", c, {a, b}, {2.0}));
    Values expected;
    for (int64_t i = 0; i < n; ++i) expected.push_back(rounded(NPU_F32, x[i] + 2 * y[i]));
    expect_close(c.get_all(), expected, 0);
  }
}

TEST(Elementwise, EmptyTensorsDoNothing) {
  DeviceTensor a(NPU_F32, {0, 3}), b(NPU_F32, {0, 3});
  NPU_EXPECT_OK(run("neg", b, {a}));
  NPU_EXPECT_OK(fill(a, 1.0, stream()));
}

TEST(Elementwise, ConvertsBetweenAllTypes) {
  const npuDataType types[] = {NPU_F64, NPU_F32, NPU_F16, NPU_BF16, NPU_I64,
                               NPU_I32, NPU_I16, NPU_I8,  NPU_U8,   NPU_BOOL};
  const Values source = {0, 1, 2, 3, 100, 0.5, 64, 17};
  for (npuDataType from : types) {
    for (npuDataType to : types) {
      DeviceTensor a(from, {8}), b(to, {8});
      a.set(source);
      NPU_ASSERT_OK(copy(b, a, stream()));
      Values expected;
      for (double value : source) expected.push_back(rounded(to, rounded(from, value)));
      expect_close(b.get_all(), expected, 0);
    }
  }
}

TEST(Elementwise, MixedTypesAreRoundedOnce) {
  DeviceTensor a(NPU_BF16, {100}), b(NPU_I32, {100}), c(NPU_BF16, {100});
  const Values x = random_values(NPU_BF16, 100, -4, 4), y = random_values(NPU_I32, 100, -9, 9, 2);
  a.set(x);
  b.set(y);
  // In bfloat16 throughout, the product would be rounded before the sum.
  NPU_ASSERT_OK(run("addcmul", c, {a, a, b}, {0.3}));
  Values expected;
  for (int i = 0; i < 100; ++i) {
    expected.push_back(rounded(NPU_BF16, x[i] + float(0.3) * x[i] * y[i]));
  }
  expect_close(c.get_all(), expected, 4e-3);
}

// out[i, j, k] = in0[i, j, k] * 10 + in1, in1 broadcast along every subset of the dimensions.
TEST(Elementwise, BroadcastsAlongAnyDimensions) {
  for (const auto& sizes : {DeviceTensor::Sizes{3, 5, 70}, DeviceTensor::Sizes{6, 60, 40},
                            DeviceTensor::Sizes{70, 3, 2}}) {
    for (int mask = 0; mask < 8; ++mask) {
      DeviceTensor a(NPU_F32, sizes), b(NPU_F32, sizes), out(NPU_F32, sizes);
      Tensor narrow = b.view();
      const int64_t n = out.numel();
      const Values x = random_values(NPU_F32, n, -4, 4, 1);
      const Values y = random_values(NPU_F32, n, -4, 4, 2);
      a.set(x);
      b.set(y);
      for (int d = 0; d < 3; ++d) {
        if (mask >> d & 1) narrow.strides[d] = 0;
      }
      NPU_ASSERT_OK(run("add", out, {narrow, a}, {10.0}));
      Values expected;
      for (int64_t i = 0; i < sizes[0]; ++i) {
        for (int64_t j = 0; j < sizes[1]; ++j) {
          for (int64_t k = 0; k < sizes[2]; ++k) {
            const auto at = i * narrow.strides[0] + j * narrow.strides[1] + k * narrow.strides[2];
            const double other = x[static_cast<size_t>((i * sizes[1] + j) * sizes[2] + k)];
            expected.push_back(rounded(NPU_F32, y[static_cast<size_t>(at)] + 10 * other));
          }
        }
      }
      SCOPED_TRACE(mask);
      expect_close(out.get_all(), expected, 0);
      // Alone, the narrow tensor has to fill the tile.
      NPU_ASSERT_OK(copy(out, narrow, stream()));
      Values copied;
      for (int64_t i = 0; i < sizes[0]; ++i) {
        for (int64_t j = 0; j < sizes[1]; ++j) {
          for (int64_t k = 0; k < sizes[2]; ++k) {
            const auto at = i * narrow.strides[0] + j * narrow.strides[1] + k * narrow.strides[2];
            copied.push_back(y[static_cast<size_t>(at)]);
          }
        }
      }
      expect_close(out.get_all(), copied, 0);
    }
  }
}

TEST(Elementwise, RowsTimesColumns) {
  DeviceTensor row(NPU_F32, {37}), column(NPU_F32, {53}), out(NPU_F32, {53, 37});
  row.set(random_values(NPU_F32, 37, -4, 4, 1));
  column.set(random_values(NPU_F32, 53, -4, 4, 2));
  NPU_ASSERT_OK(run("mul", out, {column.broadcast(1, 37), row.broadcast(0, 53)}));
  const Values x = column.get_all(), y = row.get_all();
  Values expected;
  for (double a : x) {
    for (double b : y) expected.push_back(rounded(NPU_F32, a * b));
  }
  expect_close(out.get_all(), expected, 0);
}

TEST(Elementwise, AnyLayout) {
  const std::vector<std::vector<int>> layouts = {
      {0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}, {0, 1, 3, 2}};
  const DeviceTensor::Sizes sizes = {3, 18, 5, 33};
  for (npuDataType type : {NPU_F32, NPU_I8, NPU_I64}) {
    for (const auto& from : layouts) {
      for (const auto& to : layouts) {
        for (int64_t gap : {1, 3}) {
          DeviceTensor a(type, sizes, from, gap), b(type, sizes, to), c(type, sizes, to, gap);
          const Values x = random_values(type, a.numel(), -100, 100);
          a.set(x);
          NPU_ASSERT_OK(copy(b, a, stream()));
          expect_close(b.get_all(), x, 0);
          NPU_ASSERT_OK(run("maximum", c, {b, a}));
          expect_close(c.get_all(), x, 0);
        }
      }
    }
  }
}

TEST(Elementwise, ManyDimensions) {
  const DeviceTensor::Sizes sizes = {2, 3, 2, 3, 2, 3, 2, 3, 2, 3};
  std::vector<int> reversed = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
  DeviceTensor a(NPU_I32, sizes, reversed), b(NPU_I32, sizes);
  const Values x = random_values(NPU_I32, a.numel(), -1000, 1000);
  a.set(x);
  NPU_ASSERT_OK(copy(b, a, stream()));
  expect_close(b.get_all(), x, 0);
}

TEST(Elementwise, NegativeStrides) {
  DeviceTensor a(NPU_F32, {5, 9}), b(NPU_F32, {5, 9});
  const Values x = random_values(NPU_F32, 45, -4, 4);
  a.set(x);
  Tensor flipped = a.view();
  flipped.data = static_cast<std::byte*>(flipped.data) + 44 * sizeof(float);
  flipped.strides = {-9, -1};
  NPU_ASSERT_OK(copy(b, flipped, stream()));
  expect_close(b.get_all(), Values(x.rbegin(), x.rend()), 0);
}

TEST(Elementwise, InPlace) {
  DeviceTensor a(NPU_F32, {100000});
  a.set(Values(100000, 1.5));
  for (int i = 0; i < 3; ++i) NPU_ASSERT_OK(run("square", a, {a}));
  expect_close(a.get_all(), Values(100000, rounded(NPU_F32, std::pow(1.5, 8))), 1e-6);
}

TEST(Elementwise, Immediates) {
  DeviceTensor a(NPU_F32, {50}), i(NPU_I64, {50}), b(NPU_F32, {50}), flags(NPU_BOOL, {50});
  const Values x = random_values(NPU_F32, 50, -4, 4);
  a.set(x);
  NPU_ASSERT_OK(run("clamp", b, {a, immediate(NPU_F32, -1.0, a), immediate(NPU_F32, 0.5, a)}));
  Values expected;
  for (double v : x) expected.push_back(std::clamp(v, -1.0, 0.5));
  expect_close(b.get_all(), expected, 0);

  // An integer tensor compares with a fraction as real numbers.
  Values counts(50);
  std::iota(counts.begin(), counts.end(), -25);
  i.set(counts);
  NPU_ASSERT_OK(run("lt", flags, {i, immediate(NPU_F64, 0.5, i)}));
  Values less;
  for (double v : counts) less.push_back(v < 0.5);
  expect_close(flags.get_all(), less, 0);

  // Nothing but immediates.
  NPU_ASSERT_OK(run("mul", b, {immediate(NPU_F32, 3.0, b), immediate(NPU_F32, 0.25, b)}));
  expect_close(b.get_all(), Values(50, 0.75), 0);
}

TEST(Elementwise, Large64BitIntegersStayExact) {
  DeviceTensor a(NPU_I64, {2}), b(NPU_I64, {2}), c(NPU_BOOL, {2}), d(NPU_F32, {2});
  const double big = 0x1p60;
  a.set({big, big});
  NPU_ASSERT_OK(run("add", b, {a, immediate(NPU_I64, int64_t{1}, a)}, {int64_t{1}}));
  NPU_ASSERT_OK(run("eq", c, {a, b}));
  expect_close(c.get_all(), {0, 0}, 0);
  // Even when the answer goes to a floating tensor.
  NPU_ASSERT_OK(run("eq", d, {a, b}));
  expect_close(d.get_all(), {0, 0}, 0);
}

TEST(Elementwise, BooleansAddAsLogicalOr) {
  DeviceTensor a(NPU_BOOL, {4}), b(NPU_BOOL, {4}), c(NPU_BOOL, {4});
  a.set({0, 0, 1, 1});
  b.set({0, 1, 0, 1});
  NPU_ASSERT_OK(run("add", c, {a, b}, {int64_t{1}}));
  expect_close(c.get_all(), {0, 1, 1, 1}, 0);
  NPU_ASSERT_OK(run("bitwise_not", c, {a}));
  expect_close(c.get_all(), {1, 1, 0, 0}, 0);
  NPU_ASSERT_OK(run("bitwise_xor", c, {a, b}));
  expect_close(c.get_all(), {0, 1, 1, 0}, 0);
}

TEST(Elementwise, IntegersWrapAndDivideLikePython) {
  DeviceTensor a(NPU_I8, {4}), b(NPU_I8, {4}), c(NPU_I8, {4}), f(NPU_F32, {4});
  a.set({100, -7, 7, -128});
  b.set({100, 2, -2, 1});
  NPU_ASSERT_OK(run("add", c, {a, b}, {int64_t{1}}));
  expect_close(c.get_all(), {-56, -5, 5, -127}, 0);
  NPU_ASSERT_OK(run("div_floor", c, {a, b}));
  expect_close(c.get_all(), {1, -4, -4, -128}, 0);
  NPU_ASSERT_OK(run("remainder", c, {a, b}));
  expect_close(c.get_all(), {0, 1, -1, 0}, 0);
  NPU_ASSERT_OK(run("fmod", c, {a, b}));
  expect_close(c.get_all(), {0, -1, 1, 0}, 0);
  NPU_ASSERT_OK(run("div", f, {a, b}));
  expect_close(f.get_all(), {1, -3.5, -3.5, -128}, 0);
}

struct UnaryCase {
  const char* name;
  std::function<double(double)> expected;
  double low, high;
  std::vector<Scalar> scalars = {};
};

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2)); }

class ElementwiseUnary : public ::testing::TestWithParam<UnaryCase> {};

TEST_P(ElementwiseUnary, MatchesReference) {
  const UnaryCase& test = GetParam();
  for (npuDataType type : {NPU_F32, NPU_BF16, NPU_F64}) {
    const Values x = random_values(type, 500, test.low, test.high);
    DeviceTensor a(type, {500}), b(type, {500});
    a.set(x);
    NPU_ASSERT_OK(elementwise(find_elementwise(test.name), {&b.view(), 1}, {&a.view(), 1},
                              test.scalars, stream()));
    Values expected;
    for (double v : x) expected.push_back(test.expected(v));
    SCOPED_TRACE(testing::element_size(type));
    expect_close(b.get_all(), expected, type == NPU_F64 ? 1e-10 : 2 * tolerance(type));
  }
}

const UnaryCase kUnaryCases[] = {
    {"neg", [](double x) { return -x; }, -4, 4},
    {"abs", [](double x) { return std::abs(x); }, -4, 4},
    {"exp", [](double x) { return std::exp(x); }, -4, 4},
    {"expm1", [](double x) { return std::expm1(x); }, -1, 1},
    {"log", [](double x) { return std::log(x); }, 0.1, 9},
    {"log1p", [](double x) { return std::log1p(x); }, -0.5, 9},
    {"sqrt", [](double x) { return std::sqrt(x); }, 0, 9},
    {"rsqrt", [](double x) { return 1 / std::sqrt(x); }, 0.1, 9},
    {"reciprocal", [](double x) { return 1 / x; }, 0.5, 9},
    {"tanh", [](double x) { return std::tanh(x); }, -4, 4},
    {"erf", [](double x) { return std::erf(x); }, -3, 3},
    {"sin", [](double x) { return std::sin(x); }, -9, 9},
    {"atan", [](double x) { return std::atan(x); }, -9, 9},
    {"lgamma", [](double x) { return std::lgamma(x); }, 0.2, 9},
    {"cube", [](double x) { return x * x * x; }, -2, 2},
    {"round", [](double x) { return std::nearbyint(x); }, -9, 9},
    {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, -9, 9},
    {"silu", [](double x) { return x / (1 + std::exp(-x)); }, -9, 9},
    {"gelu", [](double x) { return x * normal_cdf(x); }, -5, 5},
    {"gelu_tanh",
     [](double x) {
       return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     },
     -5, 5},
    {"relu", [](double x) { return std::max(x, 0.0); }, -5, 5},
    {"hardtanh", [](double x) { return std::clamp(x, -1.0, 2.0); }, -5, 5, {-1.0, 2.0}},
    {"hardswish", [](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; }, -5, 5},
    {"elu", [](double x) { return x > 0 ? 2 * x : 3 * std::expm1(x); }, -4, 4, {1.5, 2.0, 1.0}},
    {"softplus", [](double x) { return std::log1p(std::exp(2 * x)) / 2; }, -9, 9, {2.0, 20.0}},
    {"mish", [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }, -9, 9},
    {"log_sigmoid", [](double x) { return -std::log1p(std::exp(-x)); }, -9, 9},
    {"softshrink",
     [](double x) { return x > 0.5    ? x - 0.5
                           : x < -0.5 ? x + 0.5
                                      : 0; },
     -2,
     2,
     {0.5}},
    {"logit", [](double x) { return std::log(x / (1 - x)); }, 0.1, 0.9},
    {"ndtr", normal_cdf, -3, 3},
    {"sinc", [](double x) { return std::sin(M_PI * x) / (M_PI * x); }, 0.1, 4},
};
INSTANTIATE_TEST_SUITE_P(All, ElementwiseUnary, ::testing::ValuesIn(kUnaryCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Elementwise, GradientsMatchDifferences) {
  struct Case {
    const char* forward;
    const char* backward;
    std::vector<Scalar> scalars;
    bool from_result = false;
    bool point_first = false;
  };
  const Case cases[] = {
      {"sigmoid", "sigmoid_backward", {}, true},
      {"tanh", "tanh_backward", {}, true},
      {"gelu", "gelu_backward", {}},
      {"gelu_tanh", "gelu_tanh_backward", {}},
      {"silu", "silu_backward", {}},
      {"elu", "elu_backward", {1.5, 2.0, 0.5}},
      {"elu", "elu_backward_result", {1.5, 2.0, 0.5}, true},
      {"hardtanh", "hardtanh_backward", {-1.0, 2.0}},
      {"hardsigmoid", "hardsigmoid_backward", {}},
      {"hardswish", "hardswish_backward", {}},
      {"softplus", "softplus_backward", {2.0, 20.0}},
      {"mish", "mish_backward", {}},
      {"log_sigmoid", "log_sigmoid_backward", {}},
      {"leaky_relu", "leaky_relu_backward", {0.25}, false, true},
      {"hardshrink", "shrink_backward", {0.5}},
      {"softshrink", "shrink_backward", {0.5}},
  };
  constexpr int64_t kCount = 40;
  constexpr double kStep = 1e-6;
  for (const Case& test : cases) {
    SCOPED_TRACE(test.backward);
    // Away from the kinks of the piecewise functions.
    const Values x = random_values(NPU_F64, kCount, 0.51, 0.99);
    DeviceTensor at(NPU_F64, {kCount}), y0(NPU_F64, {kCount}), y1(NPU_F64, {kCount});
    DeviceTensor grad(NPU_F64, {kCount}), result(NPU_F64, {kCount});
    for (double scale : {-4.0, -1.0, 1.0, 4.0}) {
      Values low, high, middle;
      for (double v : x) {
        middle.push_back(scale * v);
        low.push_back(scale * v - kStep);
        high.push_back(scale * v + kStep);
      }
      const auto* forward = find_elementwise(test.forward);
      const auto evaluate = [&](const Values& points, DeviceTensor& to) {
        at.set(points);
        NPU_ASSERT_OK(
            elementwise(forward, {&to.view(), 1}, {&at.view(), 1}, test.scalars, stream()));
      };
      evaluate(low, y0);
      evaluate(high, y1);
      const Values below = y0.get_all(), above = y1.get_all();
      evaluate(middle, y0);
      grad.set(Values(kCount, 3));
      Tensor inputs[] = {grad, test.from_result ? y0 : at};
      if (test.point_first) std::swap(inputs[0], inputs[1]);
      NPU_ASSERT_OK(elementwise(find_elementwise(test.backward), {&result.view(), 1}, inputs,
                                test.scalars, stream()));
      Values expected;
      for (int64_t i = 0; i < kCount; ++i) {
        expected.push_back(3 * (above[i] - below[i]) / (2 * kStep));
      }
      expect_close(result.get_all(), expected, 1e-6);
    }
  }
}

TEST(Elementwise, SpecialValues) {
  const auto one = [](const char* name, Values x, Values expected,
                      std::vector<Scalar> scalars = {}) {
    SCOPED_TRACE(name);
    const auto n = static_cast<int64_t>(x.size());
    DeviceTensor a(NPU_F32, {n}), b(NPU_F32, {n});
    a.set(x);
    NPU_ASSERT_OK(
        elementwise(find_elementwise(name), {&b.view(), 1}, {&a.view(), 1}, scalars, stream()));
    expect_close(b.get_all(), expected, 1e-6);
  };
  one("relu", {kNaN, kInf, -kInf}, {kNaN, kInf, 0});
  one("sign", {kNaN, -2, 0}, {0, -1, 0});
  one("hardtanh", {kNaN, kInf}, {kNaN, 1}, {-1.0, 1.0});
  one("softshrink", {kNaN, kInf}, {kNaN, kInf}, {0.5});
  one("hardshrink", {kNaN, -kInf}, {kNaN, -kInf}, {0.5});
  one("nan_to_num", {kNaN, kInf, -kInf, 3}, {1, 2, -2, 3}, {1.0, 2.0, -2.0});
  one("logit_clamped", {-1, 0.5, kNaN}, {-2.1972246, 0, kNaN}, {0.1});
  one("entr", {-1, 0, 1, kNaN}, {-kInf, 0, 0, kNaN});
  one("sinc", {0}, {1});
  one("isnan", {kNaN, kInf, 0}, {1, 0, 0});

  const auto two = [](const char* name, Values x, Values y, Values expected) {
    SCOPED_TRACE(name);
    const auto n = static_cast<int64_t>(x.size());
    DeviceTensor a(NPU_F32, {n}), b(NPU_F32, {n}), c(NPU_F32, {n});
    a.set(x);
    b.set(y);
    NPU_ASSERT_OK(run(name, c, {a, b}));
    expect_close(c.get_all(), expected, 1e-6);
  };
  two("maximum", {kNaN, 1}, {0, kNaN}, {kNaN, kNaN});
  two("fmax", {kNaN, 1, kNaN}, {0, kNaN, kNaN}, {0, 1, kNaN});
  two("xlogy", {0, 0, 1, kNaN}, {kNaN, 0, 0, 1}, {kNaN, 0, -kInf, kNaN});
  two("logaddexp", {-kInf, kInf, 0, kNaN}, {-kInf, kInf, 0, 0}, {-kInf, kInf, std::log(2.0), kNaN});
  two("heaviside", {-1, 0, 2, kNaN}, {9, 9, 9, 9}, {0, 9, 1, 0});
  two("remainder", {7, -7, 7}, {3, 3, -3}, {1, 2, -2});
  two("eq", {kNaN, 1}, {kNaN, 1}, {0, 1});
}

TEST(Elementwise, ThresholdTakesTheOtherValueAbove) {
  DeviceTensor x(NPU_F32, {3}), other(NPU_F32, {3}), out(NPU_F32, {3});
  x.set({kNaN, 0.5, 1});
  other.set({kNaN, 3, 4});
  NPU_ASSERT_OK(run("threshold", out, {x, other}, {0.5, 7.0}));
  expect_close(out.get_all(), {kNaN, 7, 4}, 0);
}

TEST(Elementwise, NextAfterInEveryFloatingType) {
  const Values x = {1, 1, 1.9921875, 2, 2, -1, 0, 0, 0x1p-14, kInf, -kInf, 3, kNaN};
  const Values y = {2, 0, 9, 9, 0, 0, 1, -1, 0, 0, 0, 3, 1};
  const auto check = [&](npuDataType type, double place, double smallest, double largest) {
    const auto n = static_cast<int64_t>(x.size());
    DeviceTensor a(type, {n}), b(type, {n}), c(type, {n});
    a.set(x);
    b.set(y);
    NPU_ASSERT_OK(run("nextafter", c, {a, b}));
    // `place` is the last place of 1.
    const double below = type == NPU_F16 ? 0x1p-24 : 0x1p-15 * place;
    expect_close(c.get_all(),
                 {1 + place, 1 - place / 2, 1.9921875 + place, 2 + 2 * place, 2 - place,
                  -1 + place / 2, smallest, -smallest, 0x1p-14 - below, largest, -largest, 3, kNaN},
                 0);
  };
  check(NPU_F32, 0x1p-23, 0x1p-149, std::numeric_limits<float>::max());
  check(NPU_BF16, 0x1p-7, 0x1p-133, 0x1.fep127);
  check(NPU_F16, 0x1p-10, 0x1p-24, 65504);
}

TEST(Elementwise, FillsStridedMemory) {
  for (npuDataType type : {NPU_F32, NPU_BF16, NPU_I64, NPU_BOOL}) {
    DeviceTensor a(type, {7, 3, 40}, {2, 0, 1}, 2), b(type, {100000});
    NPU_ASSERT_OK(fill(a, 3.0, stream()));
    NPU_ASSERT_OK(fill(b, 0.0, stream()));
    expect_close(a.get_all(), Values(840, rounded(type, 3)), 0);
    expect_close(b.get_all(), Values(100000, 0), 0);
  }
}

TEST(Elementwise, ArangeCountsInLogicalOrder) {
  for (npuDataType type : {NPU_F32, NPU_I64, NPU_I32}) {
    DeviceTensor a(type, {20000}), b(type, {5, 6, 7}, {2, 1, 0});
    NPU_ASSERT_OK(arange(a, 5, -2, stream()));
    NPU_ASSERT_OK(arange(b, 0, 3, stream()));
    Values x, y;
    for (int i = 0; i < 20000; ++i) x.push_back(5 - 2 * i);
    for (int i = 0; i < 210; ++i) y.push_back(3 * i);
    expect_close(a.get_all(), x, 0);
    expect_close(b.get_all(), y, 0);
  }
}

TEST(Elementwise, TrianglesOfBatches) {
  for (const auto& layout : {std::vector<int>{0, 1, 2}, std::vector<int>{2, 0, 1}}) {
    for (int64_t diagonal : {-3, 0, 2}) {
      for (bool lower : {false, true}) {
        DeviceTensor a(NPU_F32, {3, 20, 33}, layout), b(NPU_F32, {3, 20, 33});
        const Values x = random_values(NPU_F32, a.numel(), 1, 2);
        a.set(x);
        NPU_ASSERT_OK(triangle(b, a, diagonal, lower, stream()));
        Values expected;
        for (int64_t i = 0; i < a.numel(); ++i) {
          const int64_t distance = i % 33 - i / 33 % 20;
          const bool keep = lower ? distance <= diagonal : distance >= diagonal;
          expected.push_back(keep ? x[i] : 0);
        }
        expect_close(b.get_all(), expected, 0);
      }
    }
  }
}

TEST(Elementwise, RefusesWhatItCannotDo) {
  DeviceTensor a(NPU_F32, {3}), b(NPU_F32, {4});
  EXPECT_EQ(find_elementwise("no such operation"), nullptr);
  EXPECT_EQ(run("no such operation", a, {a}), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(run("neg", a, {b}), NPU_ERROR_INVALID_VALUE);
  EXPECT_NE(std::string(npuGetLastErrorString()).find("[4]"), std::string::npos);
  EXPECT_EQ(run("add", a, {a, a}), NPU_ERROR_INVALID_VALUE);  // the factor is missing
  EXPECT_EQ(run("gcd", a, {a, a}), NPU_ERROR_UNIMPLEMENTED);
  DeviceTensor integers(NPU_I32, {3});
  EXPECT_EQ(run("gelu", integers, {integers}), NPU_ERROR_UNIMPLEMENTED);
  EXPECT_EQ(run("exp", a, {integers}), NPU_SUCCESS);
  Tensor packed = a.view();
  packed.dtype = NPU_I4;
  EXPECT_EQ(run("neg", packed, {a}), NPU_ERROR_UNIMPLEMENTED);
}

// Every program of the table can be built, in each type that it can compute in.
TEST(Elementwise, EveryEntryRuns) {
  DeviceTensor a(NPU_F32, {5}), b(NPU_F16, {5}), c(NPU_I32, {5}), d(NPU_I64, {5});
  a.set(Values(5, 0.25));
  c.set(Values(5, 3));
  for (std::string_view name : elementwise_names()) {
    SCOPED_TRACE(name);
    const ElementwiseOp* op = find_elementwise(name);
    ASSERT_NE(op, nullptr);
    bool found = false;
    for (size_t inputs = 1; inputs <= 3 && !found; ++inputs) {
      for (size_t scalars = 0; scalars <= 3 && !found; ++scalars) {
        const std::vector<Scalar> values(scalars, 0.5);
        const std::vector<Tensor> reals(inputs, a.view());
        const std::vector<Tensor> integers(inputs, c.view());
        found |= elementwise(op, {&b.view(), 1}, reals, values, stream()) == NPU_SUCCESS;
        found |= elementwise(op, {&d.view(), 1}, integers, values, stream()) == NPU_SUCCESS;
      }
    }
    EXPECT_TRUE(found) << npuGetLastErrorString();
    EXPECT_EQ(npuStreamSynchronize(stream()), NPU_SUCCESS) << npuGetLastErrorString();
  }
}

}  // namespace
}  // namespace npu::kernels

// Kernels that work along one dimension: softmax, norms, scans and extremes with their places.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "csrc/sdk/kernels/line_parts.h"
#include "npu/kernels/reduce.h"
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
using Sizes = DeviceTensor::Sizes;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Applies `line` to every line of x along dim; it returns as many values as it is given.
Values along(const Sizes& sizes, int dim, const Values& x,
             const std::function<Values(const Values&)>& line) {
  int64_t inner = 1;
  for (size_t d = static_cast<size_t>(dim) + 1; d < sizes.size(); ++d) inner *= sizes[d];
  const int64_t length = sizes[static_cast<size_t>(dim)];
  Values result(x.size());
  for (int64_t start = 0; start < static_cast<int64_t>(x.size()); ++start) {
    if (start / inner % length != 0) continue;
    Values in;
    for (int64_t i = 0; i < length; ++i) in.push_back(x[static_cast<size_t>(start + i * inner)]);
    const Values out = line(in);
    for (int64_t i = 0; i < length; ++i) {
      result[static_cast<size_t>(start + i * inner)] = out[static_cast<size_t>(i)];
    }
  }
  return result;
}

// One value for each line of x along dim.
Values of_lines(const Sizes& sizes, int dim, const Values& x,
                const std::function<double(const Values&)>& line) {
  const Values spread =
      along(sizes, dim, x, [&](const Values& in) { return Values(in.size(), line(in)); });
  Values result;
  int64_t inner = 1;
  for (size_t d = static_cast<size_t>(dim) + 1; d < sizes.size(); ++d) inner *= sizes[d];
  for (int64_t i = 0; i < static_cast<int64_t>(spread.size()); ++i) {
    if (i / inner % sizes[static_cast<size_t>(dim)] == 0) {
      result.push_back(spread[static_cast<size_t>(i)]);
    }
  }
  return result;
}

Values softmax_line(const Values& x, bool log) {
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - largest);
  Values y;
  for (double v : x) y.push_back(log ? v - largest - std::log(sum) : std::exp(v - largest) / sum);
  return y;
}

struct Shape {
  Sizes sizes;
  int dim;
  std::vector<int> layout = {};
};
// Short and long lines, as rows and as columns, whole and in chunks on both machines.
const Shape kShapes[] = {
    {{5}, 0},
    {{1, 1}, 1},
    {{300, 7}, 1},
    {{7, 300}, 0},
    {{3, 5000}, 1},
    {{5000, 3}, 0},
    {{2, 40000}, 1},
    {{40000, 2}, 0},
    {{3, 9, 20}, 1},
    {{200, 90}, 0},
    {{4, 6, 50}, 2, {2, 0, 1}},
    {{33, 5}, 1, {1, 0}},
};

TEST(Softmax, AnyLines) {
  for (const Shape& shape : kShapes) {
    for (bool log : {false, true}) {
      DeviceTensor in(NPU_F32, shape.sizes, shape.layout), out(NPU_F32, shape.sizes);
      const Values x = random_values(NPU_F32, in.numel(), -5, 5);
      in.set(x);
      NPU_ASSERT_OK(softmax(out, in, shape.dim, log, stream()));
      const auto line = [&](const Values& v) { return softmax_line(v, log); };
      SCOPED_TRACE(shape.sizes[0]);
      expect_close(out.get_all(), along(shape.sizes, shape.dim, x, line), 2e-6);
    }
  }
}

// Lines that take the scratchpad, whose parts cores share, or that do not fit at all.
TEST(Softmax, LongLines) {
  const Shape shapes[] = {{{1, 131072}, 1},       {{2, 65537}, 1},   {{70000, 8}, 0},
                          {{2, 80000, 3}, 1},     {{20, 150000}, 1}, {{5, 300007}, 1},
                          {{3, 96000}, 1, {1, 0}}};
  for (const Shape& shape : shapes) {
    for (bool log : {false, true}) {
      // Results lie the other way round.
      std::vector<int> layout;
      for (auto d = static_cast<int>(shape.sizes.size()); d > 0; --d) layout.push_back(d - 1);
      DeviceTensor in(NPU_F32, shape.sizes, shape.layout), out(NPU_F32, shape.sizes, layout);
      const Values x = random_values(NPU_F32, in.numel(), -5, 5);
      in.set(x);
      NPU_ASSERT_OK(softmax(out, in, shape.dim, log, stream()));
      const auto line = [&](const Values& v) { return softmax_line(v, log); };
      SCOPED_TRACE(::testing::Message() << shape.sizes[0] << " x " << shape.sizes[1]);
      expect_close(out.get_all(), along(shape.sizes, shape.dim, x, line), 3e-6);
    }
  }
}

// What no part may spoil for the others, and what one part spoils for all.
TEST(Softmax, SpecialValuesInParts) {
  constexpr int64_t kLength = 65536;
  for (npuDataType type : {NPU_F32, NPU_F64, NPU_BF16}) {
    DeviceTensor in(type, {1, kLength}), out(type, {1, kLength});
    const auto result = [&](const Values& x, bool log = false) {
      in.set(x);
      NPU_EXPECT_OK(softmax(out, in, 1, log, stream()));
      return out.get_all();
    };
    Values masked(kLength, -kInf);
    masked[5] = masked[60000] = 1;
    Values halves(kLength, 0);
    halves[5] = halves[60000] = 0.5;
    expect_close(result(masked), halves, 1e-6);
    const Values logs = result(masked, true);
    EXPECT_NEAR(logs[5], -std::log(2), 0.01);
    EXPECT_EQ(logs[6], -kInf);
    const Values nothing(kLength, kNaN);
    expect_close(result(Values(kLength, -kInf)), nothing, 0);
    for (double spoils : {kNaN, kInf}) {
      Values x(kLength, 0);
      x[40000] = spoils;
      const Values y = result(x);
      EXPECT_TRUE(std::isnan(y[40000]));
      if (std::isnan(spoils)) expect_close(y, nothing, 0);
    }
  }
}

TEST(LineParts, EqualOnes) {
  EXPECT_EQ(equal_parts(128256, 16), 16);
  EXPECT_EQ(equal_parts(50257, 16), 29);
  EXPECT_EQ(equal_parts(100003, 16), 1);
  EXPECT_EQ(equal_parts(34, 32), 34);
  EXPECT_EQ(equal_parts(10, 4), 5);
}

TEST(Softmax, TypesAndConversions) {
  for (npuDataType type : {NPU_F64, NPU_F16, NPU_BF16}) {
    for (npuDataType out_type : {type, NPU_F32}) {
      DeviceTensor in(type, {9, 100}), out(out_type, {9, 100});
      const Values x = random_values(type, 900, -5, 5);
      in.set(x);
      NPU_ASSERT_OK(softmax(out, in, 1, false, stream()));
      const auto line = [](const Values& v) { return softmax_line(v, false); };
      expect_close(out.get_all(), along({9, 100}, 1, x, line), tolerance(out_type));
    }
  }
}

TEST(Softmax, MaskedElements) {
  DeviceTensor in(NPU_F32, {2, 3}), out(NPU_F32, {2, 3});
  in.set({0, -kInf, 0, -kInf, -kInf, -kInf});
  NPU_ASSERT_OK(softmax(out, in, 1, false, stream()));
  expect_close(out.get_all(), {0.5, 0, 0.5, kNaN, kNaN, kNaN}, 1e-7);
}

TEST(Softmax, Backward) {
  for (const Shape& shape : kShapes) {
    for (bool log : {false, true}) {
      DeviceTensor grad(NPU_F32, shape.sizes), y(NPU_F32, shape.sizes, shape.layout);
      DeviceTensor result(NPU_F32, shape.sizes);
      const Values g = random_values(NPU_F32, grad.numel(), -1, 1, 3);
      const auto line = [&](const Values& v) { return softmax_line(v, log); };
      const Values out =
          along(shape.sizes, shape.dim, random_values(NPU_F32, y.numel(), -3, 3), line);
      grad.set(g);
      y.set(out);
      NPU_ASSERT_OK(softmax_backward(result, grad, y, shape.dim, log, stream()));
      Values products;
      for (size_t i = 0; i < g.size(); ++i) products.push_back(log ? g[i] : g[i] * out[i]);
      const Values sums = along(shape.sizes, shape.dim, products, [](const Values& v) {
        double sum = 0;
        for (double p : v) sum += p;
        return Values(v.size(), sum);
      });
      Values expected;
      for (size_t i = 0; i < g.size(); ++i) {
        expected.push_back(log ? g[i] - std::exp(out[i]) * sums[i] : (g[i] - sums[i]) * out[i]);
      }
      SCOPED_TRACE(shape.sizes[0]);
      expect_close(result.get_all(), expected, 1e-5);
    }
  }
}

double mean_of(const Values& x, const std::function<double(double)>& f) {
  double sum = 0;
  for (double v : x) sum += f(v);
  return sum / static_cast<double>(x.size());
}

TEST(RmsNorm, RowsOfAllLengths) {
  for (const Sizes& sizes : {Sizes{1, 1}, Sizes{40, 64}, Sizes{3, 5000}, Sizes{2, 40000}}) {
    for (npuDataType type : {NPU_F32, NPU_BF16}) {
      for (double offset : {0.0, 1.0}) {
        DeviceTensor x(type, sizes), w(type, {sizes[1]}), y(type, sizes);
        const Values in = random_values(type, x.numel(), -2, 2);
        const Values weight = random_values(type, sizes[1], 0.5, 1.5, 2);
        x.set(in);
        w.set(weight);
        NPU_ASSERT_OK(rms_norm(y, x, w, 1e-5, offset, stream()));
        const Values expected = along(sizes, 1, in, [&](const Values& v) {
          const double scale = 1 / std::sqrt(mean_of(v, [](double e) { return e * e; }) + 1e-5);
          Values result;
          for (size_t i = 0; i < v.size(); ++i) {
            result.push_back(v[i] * scale * (weight[i] + offset));
          }
          return result;
        });
        expect_close(y.get_all(), expected, 2 * tolerance(type));
      }
    }
  }
}

TEST(RmsNorm, FactorsOfRows) {
  for (const Sizes& sizes : {Sizes{40, 64}, Sizes{2, 40000}}) {
    for (npuDataType type : {NPU_F32, NPU_F64, NPU_BF16}) {
      const npuDataType statistics = type == NPU_F64 ? NPU_F64 : NPU_F32;
      DeviceTensor x(type, sizes), y(type, sizes), rstd(statistics, {sizes[0]}, {}, 2);
      const Values in = random_values(type, x.numel(), -2, 2);
      x.set(in);
      NPU_ASSERT_OK(rms_norm(y, x, {}, 1e-5, 0, stream(), rstd));
      const Values expected = of_lines(sizes, 1, in, [](const Values& v) {
        return 1 / std::sqrt(mean_of(v, [](double e) { return e * e; }) + 1e-5);
      });
      expect_close(rstd.get_all(), expected, 1e-5);
    }
  }
  DeviceTensor x(NPU_F32, {4, 8}), short_one(NPU_F32, {3}), other_type(NPU_F64, {4});
  EXPECT_EQ(rms_norm(x, x, {}, 0, 0, stream(), short_one), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(rms_norm(x, x, {}, 0, 0, stream(), other_type), NPU_ERROR_INVALID_VALUE);
}

TEST(RmsNorm, WithoutWeightAndInPlace) {
  DeviceTensor x(NPU_F32, {10, 32});
  x.set(Values(320, 3));
  NPU_ASSERT_OK(rms_norm(x, x, {}, 0, 0, stream()));
  expect_close(x.get_all(), Values(320, 1), 1e-6);
}

TEST(RmsNorm, AddsToTheResidualFirst) {
  for (const Sizes& sizes : {Sizes{7, 96}, Sizes{2, 40000}}) {
    DeviceTensor x(NPU_BF16, sizes), residual(NPU_BF16, sizes), w(NPU_BF16, {sizes[1]});
    const Values a = random_values(NPU_BF16, x.numel(), -2, 2, 1);
    const Values b = random_values(NPU_BF16, x.numel(), -2, 2, 2);
    const Values weight = random_values(NPU_BF16, sizes[1], 0.5, 1.5, 3);
    x.set(a);
    residual.set(b);
    w.set(weight);
    NPU_ASSERT_OK(fused_add_rms_norm(x, residual, x, w, 1e-6, 0, stream()));
    Values sum;
    for (size_t i = 0; i < a.size(); ++i) sum.push_back(rounded(NPU_BF16, a[i] + b[i]));
    expect_close(residual.get_all(), sum, 0);
    const Values expected = along(sizes, 1, sum, [&](const Values& v) {
      const double scale = 1 / std::sqrt(mean_of(v, [](double e) { return e * e; }) + 1e-6);
      Values result;
      for (size_t i = 0; i < v.size(); ++i) result.push_back(v[i] * scale * weight[i]);
      return result;
    });
    expect_close(x.get_all(), expected, tolerance(NPU_BF16));
  }
}

TEST(RmsNorm, RefusesWhatItCannotDo) {
  DeviceTensor x(NPU_F32, {4, 8}), w(NPU_F32, {7}), turned(NPU_F32, {4, 8}, {1, 0});
  EXPECT_EQ(rms_norm(x, x, w, 1e-5, 0, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(rms_norm(x, turned, {}, 1e-5, 0, stream()), NPU_ERROR_INVALID_VALUE);
}

TEST(LayerNorm, RowsOfAllLengths) {
  for (const Sizes& sizes : {Sizes{1, 1}, Sizes{40, 64}, Sizes{3, 5000}, Sizes{2, 40000}}) {
    for (int parts = 0; parts < 4; ++parts) {
      DeviceTensor x(NPU_F32, sizes), y(NPU_F32, sizes), w(NPU_F32, {sizes[1]});
      DeviceTensor b(NPU_F32, {sizes[1]}), mean(NPU_F32, {sizes[0]}), rstd(NPU_F32, {sizes[0]});
      const Values in = random_values(NPU_F32, x.numel(), -2, 6);
      const Values weight = random_values(NPU_F32, sizes[1], 0.5, 1.5, 2);
      const Values bias = random_values(NPU_F32, sizes[1], -1, 1, 3);
      x.set(in);
      w.set(weight);
      b.set(bias);
      const bool has_weight = parts & 1, has_bias = parts & 2;
      NPU_ASSERT_OK(layer_norm(y, mean, rstd, x, has_weight ? w.view() : Tensor{},
                               has_bias ? b.view() : Tensor{}, 1e-5, stream()));
      const auto mean_line = [](const Values& v) { return mean_of(v, [](double e) { return e; }); };
      const auto rstd_line = [&](const Values& v) {
        const double m = mean_line(v);
        return 1 / std::sqrt(mean_of(v, [&](double e) { return (e - m) * (e - m); }) + 1e-5);
      };
      const Values expected = along(sizes, 1, in, [&](const Values& v) {
        const double m = mean_line(v), r = rstd_line(v);
        Values result;
        for (size_t i = 0; i < v.size(); ++i) {
          result.push_back((v[i] - m) * r * (has_weight ? weight[i] : 1) +
                           (has_bias ? bias[i] : 0));
        }
        return result;
      });
      expect_close(y.get_all(), expected, 1e-5);
      expect_close(mean.get_all(), of_lines(sizes, 1, in, mean_line), 1e-5);
      expect_close(rstd.get_all(), of_lines(sizes, 1, in, rstd_line), 1e-5);
    }
  }
}

TEST(Scan, AnyLines) {
  for (const Shape& shape : kShapes) {
    for (int op = 0; op <= static_cast<int>(Scan::logsumexp); ++op) {
      const auto which = static_cast<Scan>(op);
      DeviceTensor in(NPU_F32, shape.sizes, shape.layout), out(NPU_F32, shape.sizes);
      const bool product = which == Scan::prod;
      const Values x = random_values(NPU_F32, in.numel(), product ? 0.99 : -1, product ? 1.01 : 1);
      in.set(x);
      NPU_ASSERT_OK(scan(which, out, {}, in, shape.dim, stream()));
      const Values expected = along(shape.sizes, shape.dim, x, [&](const Values& v) {
        Values result;
        double running = v[0];
        for (size_t i = 0; i < v.size(); ++i) {
          if (i > 0) {
            running = which == Scan::sum    ? running + v[i]
                      : which == Scan::prod ? running * v[i]
                      : which == Scan::max  ? std::max(running, v[i])
                      : which == Scan::min  ? std::min(running, v[i])
                                            : std::log(std::exp(running) + std::exp(v[i]));
          }
          result.push_back(running);
        }
        return result;
      });
      SCOPED_TRACE(std::to_string(op) + " of " + std::to_string(shape.sizes[0]));
      expect_close(out.get_all(), expected, 1e-4);
    }
  }
}

TEST(Scan, PlacesOfRunningExtremes) {
  for (const Shape& shape : kShapes) {
    for (bool largest : {false, true}) {
      DeviceTensor in(NPU_I32, shape.sizes, shape.layout), out(NPU_I32, shape.sizes);
      DeviceTensor places(NPU_I64, shape.sizes);
      // Few different values, so that there are ties.
      const Values x = random_values(NPU_I32, in.numel(), -9, 9);
      in.set(x);
      NPU_ASSERT_OK(scan(largest ? Scan::max : Scan::min, out, places, in, shape.dim, stream()));
      const Values expected = along(shape.sizes, shape.dim, x, [&](const Values& v) {
        Values result;
        size_t best = 0;
        for (size_t i = 0; i < v.size(); ++i) {
          if (largest ? v[i] >= v[best] : v[i] <= v[best]) best = i;
          result.push_back(static_cast<double>(best));
        }
        return result;
      });
      SCOPED_TRACE(shape.sizes[0]);
      expect_close(places.get_all(), expected, 0);
    }
  }
}

TEST(Scan, NanStaysTheExtreme) {
  DeviceTensor in(NPU_F32, {5}), out(NPU_F32, {5}), places(NPU_I64, {5});
  in.set({1, kNaN, 3, kNaN, 2});
  NPU_ASSERT_OK(scan(Scan::max, out, places, in, 0, stream()));
  expect_close(out.get_all(), {1, kNaN, kNaN, kNaN, kNaN}, 0);
  expect_close(places.get_all(), {0, 1, 1, 3, 3}, 0);
}

TEST(Scan, IntegersSumIn64Bits) {
  DeviceTensor in(NPU_U8, {9000}), out(NPU_I64, {9000});
  in.set(Values(9000, 200));
  NPU_ASSERT_OK(scan(Scan::sum, out, {}, in, 0, stream()));
  EXPECT_EQ(out.get_all().back(), 200 * 9000);
}

Sizes with_one(Sizes sizes, int dim) {
  sizes[static_cast<size_t>(dim)] = 1;
  return sizes;
}

TEST(ArgReduce, AnyLines) {
  std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
  shapes.push_back({{400000}, 0});     // in parts
  shapes.push_back({{3, 200000}, 1});  // in parts
  shapes.push_back({{150000, 2}, 0});  // in parts, columns
  shapes.push_back({{399989}, 0});     // a prime: no equal parts
  for (const Shape& shape : shapes) {
    for (bool largest : {false, true}) {
      DeviceTensor in(NPU_F32, shape.sizes, shape.layout);
      DeviceTensor values(NPU_F32, with_one(shape.sizes, shape.dim));
      DeviceTensor places(NPU_I64, with_one(shape.sizes, shape.dim));
      // Coarse values: the first of equal extremes counts.
      Values x = random_values(NPU_F32, in.numel(), -90, 90);
      for (double& v : x) v = std::round(v);
      in.set(x);
      NPU_ASSERT_OK(arg_reduce(largest, values, places, in, shape.dim, stream()));
      const auto find = [&](const Values& v) {
        return largest ? std::max_element(v.begin(), v.end())
                       : std::min_element(v.begin(), v.end());
      };
      SCOPED_TRACE(shape.sizes[0]);
      expect_close(places.get_all(),
                   of_lines(shape.sizes, shape.dim, x,
                            [&](const Values& v) { return double(find(v) - v.begin()); }),
                   0);
      expect_close(values.get_all(),
                   of_lines(shape.sizes, shape.dim, x, [&](const Values& v) { return *find(v); }),
                   0);
    }
  }
}

TEST(ArgReduce, TheFirstNanWins) {
  for (int64_t n : {5, 50000, 400000}) {
    DeviceTensor in(NPU_F32, {n}), values(NPU_F32, {1}), places(NPU_I64, {1});
    Values x(static_cast<size_t>(n), 1);
    x[static_cast<size_t>(n - 3)] = x[static_cast<size_t>(n - 1)] = kNaN;
    x[0] = kInf;
    in.set(x);
    NPU_ASSERT_OK(arg_reduce(true, values, places, in, 0, stream()));
    expect_close(places.get_all(), {static_cast<double>(n - 3)}, 0);
    expect_close(values.get_all(), {kNaN}, 0);
  }
}

TEST(ArgReduce, OneResultAlone) {
  DeviceTensor in(NPU_I64, {4, 3}), values(NPU_I64, {4, 1}), places(NPU_I64, {1, 3});
  in.set({1, 5, 2, 9, 9, 1, 0, 0, 0, -1, 7, 7});
  NPU_ASSERT_OK(arg_reduce(true, values, {}, in, 1, stream()));
  expect_close(values.get_all(), {5, 9, 0, 7}, 0);
  NPU_ASSERT_OK(arg_reduce(false, {}, places, in, 0, stream()));
  expect_close(places.get_all(), {3, 2, 2}, 0);
}

}  // namespace
}  // namespace npu::kernels

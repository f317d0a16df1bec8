#include "npu/kernels/reduce.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
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
using Sizes = DeviceTensor::Sizes;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double reference(Reduction op, const Values& x, double scalar) {
  const auto n = static_cast<double>(x.size());
  double sum = 0, product = 1, largest = -kInf, smallest = kInf, nonzero = 0, norm = 0;
  for (double v : x) {
    sum += v;
    product *= v;
    largest = std::max(largest, v);
    smallest = std::min(smallest, v);
    nonzero += v != 0;
    norm += std::pow(std::abs(v), scalar);
  }
  double squares = 0, powers = 0, absolute = 0, deviations = 0, high = 0, low = kInf;
  for (double v : x) {
    squares += v * v;
    powers += std::exp(v - largest);
    absolute += std::abs(v);
    deviations += (v - sum / n) * (v - sum / n);
    high = std::max(high, std::abs(v));
    low = std::min(low, std::abs(v));
  }
  switch (op) {
    case Reduction::sum:
    case Reduction::nansum:
      return sum;
    case Reduction::mean:
      return sum / n;
    case Reduction::prod:
      return product;
    case Reduction::max:
      return largest;
    case Reduction::min:
      return smallest;
    case Reduction::any:
      return nonzero > 0;
    case Reduction::all:
      return nonzero == n;
    case Reduction::norm0:
    case Reduction::count_nonzero:
      return nonzero;
    case Reduction::norm1:
      return absolute;
    case Reduction::norm2:
      return std::sqrt(squares);
    case Reduction::norm_inf:
      return high;
    case Reduction::norm_neg_inf:
      return low;
    case Reduction::norm_p:
      return std::pow(norm, 1 / scalar);
    case Reduction::var:
      return deviations / (n - scalar);
    case Reduction::std:
      return std::sqrt(deviations / (n - scalar));
    case Reduction::logsumexp:
      return largest + std::log(powers);
  }
  return kNaN;
}

// Runs `op` over the dimensions of the mask and compares.
void check(Reduction op, npuDataType in_type, npuDataType out_type, const Sizes& sizes,
           uint32_t mask, std::vector<int> layout = {}, int64_t gap = 1, double scalar = 1) {
  SCOPED_TRACE("op " + std::to_string(int(op)) + " mask " + std::to_string(mask) + " type " +
               std::to_string(in_type));
  DeviceTensor in(in_type, sizes, std::move(layout), gap);
  const bool product = op == Reduction::prod;
  const Values x = random_values(in_type, in.numel(), product ? 0.99 : -3, product ? 1.01 : 3);
  in.set(x);
  Sizes kept = sizes;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (mask >> d & 1) kept[d] = 1;
  }
  DeviceTensor out(out_type, kept);
  std::vector<Values> groups(static_cast<size_t>(out.numel()));
  for (int64_t i = 0; i < in.numel(); ++i) {
    int64_t rest = i, to = 0, stride = 1;
    for (size_t d = sizes.size(); d-- > 0;) {
      if (!(mask >> d & 1)) {
        to += rest % sizes[d] * stride;
        stride *= sizes[d];
      }
      rest /= sizes[d];
    }
    groups[static_cast<size_t>(to)].push_back(x[static_cast<size_t>(i)]);
  }
  Values expected;
  for (const Values& group : groups) {
    expected.push_back(rounded(out_type, reference(op, group, scalar)));
  }
  NPU_ASSERT_OK(reduce(op, out, in, mask, scalar, stream()));
  const double length = static_cast<double>(groups[0].size());
  expect_close(out.get_all(), expected, tolerance(out_type) * std::max(1.0, std::sqrt(length)));
}

TEST(Reduce, EveryReductionOverEveryDimension) {
  for (int op = 0; op <= static_cast<int>(Reduction::count_nonzero); ++op) {
    for (uint32_t mask = 0; mask < 8; ++mask) {
      const auto reduction = static_cast<Reduction>(op);
      // The variance of one element with a correction of 1 has no value.
      const double scalar = reduction == Reduction::norm_p ? 3 : 0;
      check(reduction, NPU_F32, NPU_F32, {4, 6, 50}, mask, {}, 1, scalar);
    }
  }
}

TEST(Reduce, AnyLayout) {
  for (const auto& layout :
       {std::vector<int>{2, 1, 0}, std::vector<int>{1, 0, 2}, std::vector<int>{0, 2, 1}}) {
    for (uint32_t mask = 1; mask < 8; ++mask) {
      check(Reduction::sum, NPU_F32, NPU_F32, {5, 70, 33}, mask, layout, 2);
      check(Reduction::var, NPU_F32, NPU_F32, {5, 70, 33}, mask, layout, 1, 1);
    }
  }
}

TEST(Reduce, LongRowsAndColumns) {
  check(Reduction::sum, NPU_F32, NPU_F32, {3, 40001}, 2);
  check(Reduction::logsumexp, NPU_F32, NPU_F32, {3, 40001}, 2);
  check(Reduction::mean, NPU_F32, NPU_F32, {40001, 3}, 1);
  check(Reduction::max, NPU_F32, NPU_F32, {5000, 130}, 1);
  check(Reduction::sum, NPU_F32, NPU_F32, {2000, 7}, 2);
}

TEST(Reduce, EverythingIntoOneElement) {
  for (int64_t n : {1, 2, 8192, 300000}) {
    check(Reduction::sum, NPU_F32, NPU_F32, {n}, 1);
    check(Reduction::var, NPU_F32, NPU_F32, {n}, 1, {}, 1, 0);
    check(Reduction::count_nonzero, NPU_F32, NPU_I64, {n}, 1);
    check(Reduction::max, NPU_I32, NPU_I32, {n}, 1);
  }
}

TEST(Reduce, Types) {
  for (npuDataType type : {NPU_F64, NPU_F32, NPU_F16, NPU_BF16}) {
    for (Reduction op : {Reduction::sum, Reduction::mean, Reduction::max, Reduction::norm2,
                         Reduction::logsumexp, Reduction::any}) {
      check(op, type, type, {7, 300}, 2);
    }
  }
  for (npuDataType type : {NPU_I64, NPU_I32, NPU_I16, NPU_BOOL}) {
    check(Reduction::sum, type, NPU_I64, {7, 300}, 2);
    check(Reduction::sum, type, NPU_I64, {7, 300}, 1);
    check(Reduction::mean, type, NPU_F32, {7, 300}, 1);
    check(Reduction::max, type, type, {7, 300}, 1);
    check(Reduction::all, type, NPU_BOOL, {7, 300}, 1);
    check(Reduction::any, type, NPU_BOOL, {300000}, 1);
  }
}

TEST(Reduce, SumsOfShortTypesAreNotRoundedOnTheWay) {
  DeviceTensor in(NPU_BF16, {40000}), out(NPU_F32, {1});
  in.set(Values(40000, 1));
  NPU_ASSERT_OK(reduce(Reduction::sum, out, in, 1, 0, stream()));
  expect_close(out.get_all(), {40000}, 0);
}

TEST(Reduce, SpecialValues) {
  const auto all = [](Reduction op, const Values& x) {
    DeviceTensor in(NPU_F32, {static_cast<int64_t>(x.size())}), out(NPU_F32, {1});
    in.set(x);
    NPU_EXPECT_OK(reduce(op, out, in, 1, 0, stream()));
    return out.get_all()[0];
  };
  EXPECT_TRUE(std::isnan(all(Reduction::max, {1, kNaN, 2})));
  EXPECT_TRUE(std::isnan(all(Reduction::min, {kNaN, 2})));
  EXPECT_EQ(all(Reduction::nansum, {1, kNaN, 2}), 3);
  EXPECT_EQ(all(Reduction::any, {0, kNaN}), 1);
  EXPECT_EQ(all(Reduction::logsumexp, {-kInf, -kInf}), -kInf);
  EXPECT_EQ(all(Reduction::logsumexp, {kInf, 1}), kInf);
  EXPECT_NEAR(all(Reduction::logsumexp, {1000, 1000}), 1000 + std::log(2), 1e-3);
  EXPECT_EQ(all(Reduction::max, {-kInf}), -kInf);
}

TEST(Reduce, EmptyReductionsGiveTheirIdentity) {
  DeviceTensor in(NPU_F32, {0, 3}), out(NPU_F32, {1, 3}), none(NPU_F32, {0, 1});
  NPU_ASSERT_OK(reduce(Reduction::sum, out, in, 1, 0, stream()));
  expect_close(out.get_all(), {0, 0, 0}, 0);
  NPU_ASSERT_OK(reduce(Reduction::prod, out, in, 1, 0, stream()));
  expect_close(out.get_all(), {1, 1, 1}, 0);
  NPU_ASSERT_OK(reduce(Reduction::mean, out, in, 1, 0, stream()));
  expect_close(out.get_all(), {kNaN, kNaN, kNaN}, 0);
  NPU_ASSERT_OK(reduce(Reduction::sum, none, in, 2, 0, stream()));
}

TEST(Reduce, RefusesMismatchedSizes) {
  DeviceTensor in(NPU_F32, {4, 3}), out(NPU_F32, {2, 3}), flat(NPU_F32, {3});
  EXPECT_EQ(reduce(Reduction::sum, out, in, 1, 0, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(reduce(Reduction::sum, flat, in, 1, 0, stream()), NPU_ERROR_INVALID_VALUE);
}

}  // namespace
}  // namespace npu::kernels

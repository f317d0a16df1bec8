#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "npu/kernels/index.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels {
namespace {

using testing::DeviceTensor;
using testing::expect_close;
using testing::random_values;
using testing::stream;
using Values = std::vector<double>;

const npuDataType kTypes[] = {NPU_F64, NPU_F32, NPU_F16, NPU_BF16, NPU_I64,
                              NPU_I32, NPU_I16, NPU_I8,  NPU_U8,   NPU_BOOL};
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool less(double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

// Positions of a line's elements in sorted order.
std::vector<int64_t> order_of(const Values& line, bool descending) {
  std::vector<int64_t> order(line.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return descending ? less(line[b], line[a]) : less(line[a], line[b]);
  });
  return order;
}

// Sorts [outer, length, inner] along dimension 1 (topk of `keep` elements where it is given).
void check(npuDataType type, int64_t outer, int64_t length, int64_t inner, bool descending,
           const Values& x, const std::vector<int>& layout = {}, int64_t keep = -1) {
  const int64_t kept = keep < 0 ? length : keep;
  DeviceTensor in(type, {outer, length, inner}, layout);
  DeviceTensor values(type, {outer, kept, inner}, layout, 2),
      indices(NPU_I64, {outer, kept, inner});
  in.set(x);
  if (keep < 0) {
    NPU_ASSERT_OK(sort(values, indices, in, 1, descending, stream()));
  } else {
    NPU_ASSERT_OK(topk(values, indices, in, 1, descending, stream()));
  }
  Values expected_values(outer * kept * inner), expected_indices(expected_values.size());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      Values line;
      for (int64_t l = 0; l < length; ++l) line.push_back(x[(o * length + l) * inner + i]);
      const auto order = order_of(line, descending);
      for (int64_t l = 0; l < kept; ++l) {
        expected_values[(o * kept + l) * inner + i] = line[order[l]];
        expected_indices[(o * kept + l) * inner + i] = static_cast<double>(order[l]);
      }
    }
  }
  expect_close(values.get_all(), expected_values, 0);
  EXPECT_EQ(indices.get_all(), expected_indices)
      << outer << " x " << length << " x " << inner << ", type " << type;
}

TEST(Sort, EveryTypeIsStable) {
  for (npuDataType type : kTypes) {
    for (bool descending : {false, true}) {
      check(type, 7, 100, 1, descending, random_values(type, 700, 0, 20));
    }
  }
}

TEST(Sort, AlongAnInnerDimension) {
  const Values x = random_values(NPU_F32, 9 * 70 * 11, -1, 1);
  check(NPU_F32, 9, 70, 11, false, x);
  check(NPU_F32, 9, 70, 11, true, x, {2, 0, 1});
}

TEST(Sort, NaNIsTheLargest) {
  const Values x = {1, kNaN, -kInf, 0, kInf, kNaN, -0.0, 5};
  check(NPU_F32, 1, 8, 1, false, x);
  check(NPU_F32, 1, 8, 1, true, x);
  check(NPU_BF16, 1, 8, 1, false, x);
}

TEST(Sort, LongLinesAreMerged) {
  // Longer than the smaller machine's scratchpad; the largest than the larger one's tiles.
  for (int64_t length : {3000, 20001, 300000}) {
    for (bool descending : {false, true}) {
      Values x = random_values(NPU_F32, length, 0, 1000);
      for (double& value : x) value = std::floor(value);  // many equal ones
      for (int64_t i = 0; i < length; i += 997) x[i] = kNaN;
      check(NPU_F32, 1, length, 1, descending, x);
    }
  }
  check(NPU_I64, 2, 5000, 3, false, random_values(NPU_I64, 30000, -1e6, 1e6), {1, 0, 2});
}

TEST(Sort, NothingToDo) {
  DeviceTensor in(NPU_F32, {3, 0}), values(NPU_F32, {3, 0}), indices(NPU_I64, {3, 0});
  NPU_EXPECT_OK(sort(values, indices, in, 1, false, stream()));
}

TEST(Topk, EveryType) {
  for (npuDataType type : kTypes) {
    check(type, 5, 60, 1, true, random_values(type, 300, 0, 100), {}, 7);
    check(type, 5, 60, 2, false, random_values(type, 600, 0, 100), {}, 1);
  }
}

TEST(Topk, LongLinesInSeveralRounds) {
  for (int64_t length : {4000, 151936}) {
    const Values x = random_values(NPU_F32, length, -8, 8);
    check(NPU_F32, 1, length, 1, true, x, {}, 50);
    check(NPU_F32, 1, length, 1, false, x, {}, 1);
  }
  check(NPU_BF16, 3, 40000, 1, true, random_values(NPU_BF16, 120000, -8, 8), {}, 8);
}

TEST(Topk, LargeSharesOfALine) {
  const Values x = random_values(NPU_F32, 12000, -8, 8);
  check(NPU_F32, 1, 12000, 1, true, x, {}, 9000);
  check(NPU_F32, 1, 12000, 1, false, x, {}, 12000);
}

TEST(Topk, MoreThanThereAre) {
  DeviceTensor in(NPU_F32, {4}), values(NPU_F32, {5}), indices(NPU_I64, {5});
  EXPECT_EQ(topk(values, indices, in, 0, true, stream()), NPU_ERROR_INVALID_VALUE);
}

}  // namespace
}  // namespace npu::kernels

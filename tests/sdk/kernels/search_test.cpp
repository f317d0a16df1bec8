// searchsorted and nonzero.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "npu/kernels/index.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels {
namespace {

using testing::DeviceTensor;
using testing::random_values;
using testing::stream;
using Values = std::vector<double>;

const npuDataType kTypes[] = {NPU_F64, NPU_F32, NPU_F16, NPU_BF16, NPU_I64,
                              NPU_I32, NPU_I16, NPU_I8,  NPU_U8};

TEST(Searchsorted, EveryTypeAndLength) {
  for (npuDataType type : kTypes) {
    for (int64_t length : {1, 2, 3, 63, 64, 65, 1024, 5000, 40000}) {
      for (bool right : {false, true}) {
        Values line = random_values(type, length, 0, 30, 3);
        std::sort(line.begin(), line.end());
        const Values x = random_values(type, 500, 0, 31, 4);
        DeviceTensor sorted(type, {length}), values(type, {5, 100}, {1, 0}), out(NPU_I64, {5, 100});
        sorted.set(line);
        values.set(x);
        NPU_ASSERT_OK(searchsorted(out, sorted, values, right, stream()));
        Values expected;
        for (double value : x) {
          const auto at = right ? std::upper_bound(line.begin(), line.end(), value)
                                : std::lower_bound(line.begin(), line.end(), value);
          expected.push_back(static_cast<double>(at - line.begin()));
        }
        EXPECT_EQ(out.get_all(), expected) << "type " << type << ", length " << length;
      }
    }
  }
}

TEST(Searchsorted, ALineForEachLineOfValues) {
  DeviceTensor sorted(NPU_F32, {2, 3, 40}, {1, 0, 2}), values(NPU_F32, {2, 3, 3000});
  DeviceTensor out(NPU_I64, {2, 3, 3000});
  Values lines = random_values(NPU_F32, 240, 0, 1, 3);
  for (auto line = lines.begin(); line != lines.end(); line += 40) std::sort(line, line + 40);
  const Values x = random_values(NPU_F32, 18000, -0.1, 1.1, 4);
  sorted.set(lines);
  values.set(x);
  NPU_ASSERT_OK(searchsorted(out, sorted, values, false, stream()));
  Values expected;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto line = lines.begin() + static_cast<int64_t>(i) / 3000 * 40;
    expected.push_back(static_cast<double>(std::lower_bound(line, line + 40, x[i]) - line));
  }
  EXPECT_EQ(out.get_all(), expected);
}

TEST(Searchsorted, NaNStandsBehindEverything) {
  DeviceTensor sorted(NPU_F32, {3}), empty(NPU_F32, {0}), values(NPU_F32, {2}), out(NPU_I64, {2});
  sorted.set({1, 2, 3});
  values.set({std::numeric_limits<double>::quiet_NaN(), 2});
  NPU_ASSERT_OK(searchsorted(out, sorted, values, false, stream()));
  EXPECT_EQ(out.get_all(), (Values{3, 1}));
  NPU_ASSERT_OK(searchsorted(out, empty, values, false, stream()));
  EXPECT_EQ(out.get_all(), (Values{0, 0}));
}

void check_nonzero(npuDataType type, const std::vector<int64_t>& sizes, double share,
                   const std::vector<int>& layout = {}) {
  DeviceTensor in(type, sizes, layout, 2);
  Values x = random_values(NPU_F64, in.numel(), 0, 1, 5);
  for (double& value : x) value = value < share ? 1 : 0;
  in.set(x);
  Values expected;
  int64_t count = 0;
  for (int64_t i = 0; i < in.numel(); ++i) {
    if (x[i] == 0) continue;
    ++count;
    int64_t inner = in.numel();
    for (int64_t size : sizes) {
      inner /= size;
      expected.push_back(static_cast<double>(i / inner % size));
    }
  }
  DeviceTensor out(NPU_I64, {count, static_cast<int64_t>(sizes.size())}, {1, 0});
  NPU_ASSERT_OK(nonzero(out, in, stream()));
  EXPECT_EQ(out.get_all(), expected);
}

TEST(Nonzero, EveryTypeAndRank) {
  for (npuDataType type : {NPU_BOOL, NPU_F32, NPU_F64, NPU_BF16, NPU_I64, NPU_U8}) {
    check_nonzero(type, {50000}, 0.3);
    check_nonzero(type, {30, 40, 5}, 0.5);
  }
  check_nonzero(NPU_BOOL, {1}, 1.1);
  check_nonzero(NPU_BOOL, {100, 100}, 0);
  check_nonzero(NPU_BOOL, {13, 17, 19, 3}, 0.5, {3, 1, 0, 2});
}

TEST(Nonzero, ManyTiles) { check_nonzero(NPU_BOOL, {3000000}, 0.01); }

}  // namespace
}  // namespace npu::kernels

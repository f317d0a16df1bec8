#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "npu/kernels/index.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels {
namespace {

using testing::DeviceTensor;
using testing::stream;
using Values = std::vector<double>;

constexpr int64_t kMany = 200000;
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

Values draw(Distribution distribution, npuDataType type, Scalar a, Scalar b, int64_t n = kMany,
            uint64_t offset = 0) {
  DeviceTensor out(type, {n});
  NPU_EXPECT_OK(random(distribution, out, a, b, 42, offset, stream()));
  return out.get_all();
}

struct Moments {
  double mean = 0, deviation = 0, lowest = 0, highest = 0;
};

Moments moments(const Values& x) {
  Moments m;
  for (double value : x) m.mean += value;
  m.mean /= static_cast<double>(x.size());
  for (double value : x) m.deviation += (value - m.mean) * (value - m.mean);
  m.deviation = std::sqrt(m.deviation / static_cast<double>(x.size()));
  m.lowest = *std::min_element(x.begin(), x.end());
  m.highest = *std::max_element(x.begin(), x.end());
  return m;
}

TEST(Random, ElementsDependOnTheirNumberAlone) {
  const Values whole = draw(Distribution::normal, NPU_F32, 0.0, 1.0, 30000);
  EXPECT_EQ(draw(Distribution::normal, NPU_F32, 0.0, 1.0, 29000, 1000),
            Values(whole.begin() + 1000, whole.end()));
  DeviceTensor strided(NPU_F32, {30, 100, 10}, {2, 0, 1}, 2);
  NPU_ASSERT_OK(random(Distribution::normal, strided, 0.0, 1.0, 42, 0, stream()));
  EXPECT_EQ(strided.get_all(), whole);
  DeviceTensor other(NPU_F32, {30000});
  NPU_ASSERT_OK(random(Distribution::normal, other, 0.0, 1.0, 43, 0, stream()));
  EXPECT_NE(other.get_all(), whole);
}

TEST(Random, UniformStaysBelowItsUpperBound) {
  for (npuDataType type : {NPU_F64, NPU_F32, NPU_F16, NPU_BF16}) {
    for (auto [low, high] : {std::pair{0.0, 1.0}, {-1.0, 0.0}, {5.0, 9.0}, {-3.0, -1.0}}) {
      const Moments m = moments(draw(Distribution::uniform, type, low, high));
      EXPECT_GE(m.lowest, low);
      EXPECT_LT(m.highest, high) << "type " << type;
      EXPECT_NEAR(m.mean, (low + high) / 2, 0.01 * (high - low)) << "type " << type;
      EXPECT_NEAR(m.deviation, (high - low) / std::sqrt(12), 0.01 * (high - low));
    }
  }
}

TEST(Random, Normal) {
  for (npuDataType type : {NPU_F64, NPU_F32, NPU_F16, NPU_BF16}) {
    const Moments m = moments(draw(Distribution::normal, type, 3.0, 2.0));
    EXPECT_NEAR(m.mean, 3, 0.03);
    EXPECT_NEAR(m.deviation, 2, 0.03);
  }
}

TEST(Random, ExponentialIsPositiveAndFinite) {
  for (npuDataType type : {NPU_F64, NPU_F32, NPU_BF16}) {
    const Moments m = moments(draw(Distribution::exponential, type, 0.5, 0.0));
    EXPECT_GT(m.lowest, 0);
    EXPECT_TRUE(std::isfinite(m.highest));
    EXPECT_NEAR(m.mean, 2, 0.05);
    EXPECT_NEAR(m.deviation, 2, 0.05);
  }
}

TEST(Random, IntegersOfSmallRanges) {
  for (npuDataType type : {NPU_I64, NPU_I32, NPU_I16, NPU_F32}) {
    const Values x = draw(Distribution::integer, type, -3, 7);
    Values counts(10, 0);
    for (double value : x) {
      ASSERT_GE(value, -3);
      ASSERT_LT(value, 7);
      ++counts[static_cast<size_t>(value + 3)];
    }
    for (double count : counts) EXPECT_NEAR(count, kMany / 10.0, kMany * 0.01);
  }
}

TEST(Random, IntegersOfTheWidestRanges) {
  // [0, 2^63), [-2^63, 2^62), all.
  const Moments half = moments(draw(Distribution::integer, NPU_I64, 0, kMin));
  EXPECT_GE(half.lowest, 0);
  EXPECT_NEAR(half.mean, 0x1p62, 0x1p62 * 0.02);
  const Moments most = moments(draw(Distribution::integer, NPU_I64, kMin, int64_t{1} << 62));
  EXPECT_LT(most.highest, 0x1p62);
  EXPECT_LT(most.lowest, -0x1p63 * 0.99);
  const Moments all = moments(draw(Distribution::integer, NPU_I64, kMin, kMin));
  EXPECT_LT(all.lowest, -0x1p63 * 0.99);
  EXPECT_GT(all.highest, 0x1p63 * 0.99);
}

TEST(Random, Bernoulli) {
  for (npuDataType type : {NPU_BOOL, NPU_F32, NPU_BF16, NPU_I64}) {
    EXPECT_NEAR(moments(draw(Distribution::bernoulli, type, 0.3, 0.0)).mean, 0.3, 0.01);
    EXPECT_EQ(moments(draw(Distribution::bernoulli, type, 1.0, 0.0)).lowest, 1);
    EXPECT_EQ(moments(draw(Distribution::bernoulli, type, 0.0, 0.0)).highest, 0);
  }
}

TEST(Random, Others) {
  Values x = draw(Distribution::log_normal, NPU_F32, 0.0, 0.5);
  EXPECT_NEAR(moments(x).mean, std::exp(0.125), 0.02);
  x = draw(Distribution::cauchy, NPU_F32, 1.0, 2.0);
  std::sort(x.begin(), x.end());
  EXPECT_NEAR(x[kMany / 2], 1, 0.05);
  EXPECT_NEAR(x[kMany * 3 / 4], 3, 0.1);
  for (npuDataType type : {NPU_I64, NPU_F32}) {
    const Moments m = moments(draw(Distribution::geometric, type, 0.25, 0.0));
    EXPECT_EQ(m.lowest, 1);
    EXPECT_NEAR(m.mean, 4, 0.05);
  }
  EXPECT_EQ(moments(draw(Distribution::geometric, NPU_F32, 1.0, 0.0)).highest, 1);
}

}  // namespace
}  // namespace npu::kernels

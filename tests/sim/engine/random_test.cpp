#include "sim/engine/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

class Random : public testing::Test {
 protected:
  template <class T>
  std::vector<T> draw(RandomFn fn, int64_t count, uint64_t counter, uint64_t seed = 7,
                      DType dtype = dtype_of<T>()) {
    std::vector<T> out(static_cast<size_t>(count));
    random_tile(context_, fn, tile_of(out, 1, count, dtype), seed, counter);
    return out;
  }
  EngineContext context_{vector_table(), {}};
};

// However a tensor is cut into tiles, an element's number decides.
TEST_F(Random, DependsOnTheElementAlone) {
  const auto all = draw<float>(RandomFn::normal, 5000, 0);
  const auto wide = draw<double>(RandomFn::normal, 3000, 0);
  for (uint64_t start : {1, 2, 3, 5, 1023, 1025}) {
    const auto part = draw<float>(RandomFn::normal, 1500, start);
    for (size_t i = 0; i < part.size(); ++i) ASSERT_EQ(part[i], all[start + i]);
    const auto wide_part = draw<double>(RandomFn::normal, 1500, start);
    for (size_t i = 0; i < wide_part.size(); ++i) ASSERT_EQ(wide_part[i], wide[start + i]);
  }
  EXPECT_NE(draw<float>(RandomFn::normal, 8, 0, 8), draw<float>(RandomFn::normal, 8, 0, 9));
}

TEST_F(Random, FollowsItsDefinition) {
  const auto words = draw<int32_t>(RandomFn::bits, 9, 0, 0);
  EXPECT_EQ(static_cast<uint32_t>(words[0]), 0x6627e8d5u);
  EXPECT_EQ(static_cast<uint32_t>(words[3]), 0x9b00dbd8u);
  const auto wide = draw<int64_t>(RandomFn::bits, 2, 0, 0);
  EXPECT_EQ(static_cast<uint64_t>(wide[0]), 0xe169c58d6627e8d5u);
  EXPECT_EQ(static_cast<uint64_t>(wide[1]), 0x9b00dbd8bc57ac4cu);
  EXPECT_EQ(draw<float>(RandomFn::uniform, 1, 0, 0)[0], (0x6627e8d5u >> 8) * 0x1p-24f);
  EXPECT_EQ(draw<double>(RandomFn::uniform, 1, 0, 0)[0], (0xe169c58d6627e8d5u >> 11) * 0x1p-53);
  const double radius = std::sqrt(-2 * std::log(((0x6627e8d5u >> 8) + 1) * 0x1p-24));
  const double angle = 2 * std::acos(-1.0) * (0xe169c58du >> 8) * 0x1p-24;
  const auto normal = draw<float>(RandomFn::normal, 2, 0, 0);
  EXPECT_NEAR(normal[0], radius * std::cos(angle), 1e-6);
  EXPECT_NEAR(normal[1], radius * std::sin(angle), 1e-6);
}

TEST_F(Random, HasTheRightDistributions) {
  constexpr int64_t kCount = 200000;
  const auto moments = [](const std::vector<float>& x) {
    double sum = 0;
    double squares = 0;
    for (float value : x) {
      sum += value;
      squares += double{value} * value;
    }
    const double mean = sum / static_cast<double>(x.size());
    return std::pair(mean, squares / static_cast<double>(x.size()) - mean * mean);
  };
  const auto [mean, variance] = moments(draw<float>(RandomFn::normal, kCount, 0));
  EXPECT_NEAR(mean, 0, 0.01);
  EXPECT_NEAR(variance, 1, 0.015);
  const auto uniform = draw<float>(RandomFn::uniform, kCount, 0);
  const auto [center, spread] = moments(uniform);
  EXPECT_NEAR(center, 0.5, 0.004);
  EXPECT_NEAR(spread, 1.0 / 12, 0.002);
  for (float x : uniform) ASSERT_TRUE(x >= 0 && x < 1);
  for (DType type : {DType::bf16, DType::f16}) {
    auto narrow = draw<uint16_t>(RandomFn::uniform, kCount, 0, 7, type);
    for (double x : values_of(tile_of(narrow, 1, kCount, type))) ASSERT_TRUE(x >= 0 && x < 1);
  }
}

}  // namespace
}  // namespace npu::sim

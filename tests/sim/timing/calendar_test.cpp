#include "sim/timing/calendar.h"

#include <gtest/gtest.h>

#include <random>

namespace npu::sim {
namespace {

constexpr uint64_t kCycle = uint64_t{1} << kTickBits;

TEST(Calendar, ServesInTurnAndRemembersHoles) {
  Calendar calendar;
  EXPECT_EQ(calendar.reserve(100 * kCycle, 10 * kCycle), 110 * kCycle);
  EXPECT_EQ(calendar.reserve(105 * kCycle, 10 * kCycle), 120 * kCycle);  // behind the first
  EXPECT_EQ(calendar.reserve(50 * kCycle, 10 * kCycle), 60 * kCycle);    // before it
  EXPECT_EQ(calendar.reserve(58 * kCycle, 10 * kCycle), 70 * kCycle);
  EXPECT_EQ(calendar.reserve(0, 60 * kCycle), 80 * kCycle);   // 50 before, 10 between
  EXPECT_EQ(calendar.reserve(0, 30 * kCycle), 130 * kCycle);  // 20 between, 10 at the end
  EXPECT_EQ(calendar.reserve(7, 0), 7u);
}

TEST(Calendar, ForgettingThePastChangesNothing) {
  Calendar keeps;
  Calendar forgets;
  std::mt19937_64 random(7);
  uint64_t now = 0;
  for (int i = 0; i < 5000; ++i) {
    now += random() % 20 * kCycle;
    const uint64_t start = now + random() % 500 * kCycle;
    const uint64_t ticks = random() % (12 * kCycle);
    forgets.retire(now);
    EXPECT_EQ(keeps.reserve(start, ticks), forgets.reserve(start, ticks));
  }
}

TEST(Bandwidth, IsExactOverLargeSums) {
  const Bandwidth bandwidth(2400.0 / 1.4);
  const double cycles = double(bandwidth.ticks(int64_t{1} << 36)) / kCycle;
  EXPECT_NEAR(cycles / (double(int64_t{1} << 36) * 1.4 / 2400), 1, 1e-8);
  EXPECT_EQ(Bandwidth(64).ticks(64), kCycle);
  EXPECT_EQ(Bandwidth(64).ticks(1), kCycle / 64);
}

}  // namespace
}  // namespace npu::sim

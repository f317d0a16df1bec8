#include "csrc/sdk/kernels/tile_walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "sim/arch/machine.h"

namespace npu::kernels {
namespace {

TEST(TileWalk, PartsOfACoresShare) {
  // As many as fit, evenly.
  EXPECT_EQ(part_of_core(100, 30, 20), 25);
  EXPECT_EQ(part_of_core(1000, 30, 20), 30);
  // Three, so that loads, arithmetic and stores overlap, unless they were small.
  EXPECT_EQ(part_of_core(90, 100, 10), 30);
  EXPECT_EQ(part_of_core(50, 100, 20), 25);
  EXPECT_EQ(part_of_core(10, 100, 20), 10);
  EXPECT_EQ(part_of_core(1, 1, 1), 1);
}

TEST(TileWalk, CoresGetEvenSharesOfTiles) {
  const sim::Machine machine = sim::load_machine("n1");
  const int64_t cores = machine.core.count;
  for (const int64_t n : {int64_t{1}, int64_t{50000}, int64_t{421321}, int64_t{1} << 26}) {
    const int64_t elements = target_elements(machine, n, kTileElements);
    EXPECT_LE(elements, kTileElements) << n;
    EXPECT_GE(elements, kSmallTileElements) << n;
    const int64_t rounds = ceil_div(ceil_div(n, elements), cores);
    EXPECT_LE(rounds, std::max(ceil_div(n, cores * kTileElements), int64_t{3})) << n;
  }
}

}  // namespace
}  // namespace npu::kernels

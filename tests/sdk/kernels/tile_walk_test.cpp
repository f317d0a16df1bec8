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

// The rows of a matrix whose columns are a part of what lies in memory.
TEST(TileWalk, TilesOfOneCoreAreUnderWayAtOnce) {
  for (const char* preset : {"n1", "tpu-v6e"}) {
    const sim::Machine machine = sim::load_machine(preset);
    for (const int64_t rows : {5, 40, 57, 75, 110}) {
      for (const int64_t cols : {1184, 2112, 4064}) {
        Iteration nest = {.rank = 2, .tensors = 1};
        nest.size = {cols, rows};
        nest.stride[0] = {1, 2 * cols};
        const Tiling tiling = tiling_for(machine, nest, kTileElements);
        EXPECT_LE(tiling.elements(), kTileElements);
        EXPECT_EQ(tiling.grid, tiling.tiles[0] * tiling.tiles[1]);
        const int64_t rounds = ceil_div(tiling.grid, machine.core.count);
        const int64_t fewest = ceil_div(rows * cols, machine.core.count * kTileElements);
        EXPECT_LE(rounds, std::max<int64_t>(fewest + 1, load_buffers(machine)))
            << preset << ' ' << rows << 'x' << cols;
      }
    }
  }
}

// Tiles begin at whole bursts where a row is divided.
TEST(TileWalk, PartsOfARowAreAligned) {
  Iteration nest = {.rank = 2, .tensors = 1};
  nest.size = {4096, 2};
  nest.stride[0] = {1, 5000};
  EXPECT_EQ(choose_tiling(nest, 192).tile[0], 192);
  EXPECT_EQ(choose_tiling(nest, 700).tile[0], 683);  // 704 are too many
  EXPECT_EQ(choose_tiling(nest, 1000).tile[0], 832);
}

}  // namespace
}  // namespace npu::kernels

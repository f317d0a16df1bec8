#include "csrc/sdk/kernels/matmul_blocks.h"

#include <gtest/gtest.h>

#include "csrc/sdk/kernels/matmul_tiling.h"

namespace npu::kernels {
namespace {

MatmulTiling choose(int64_t m, int64_t k, int64_t n, double block_traffic = 1.25) {
  sim::Machine machine = sim::load_machine("tpu-v6e");
  machine.compiler.block_traffic = block_traffic;
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  return choose_matmul_tiling(machine, form.problem(1, m, n, k));
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

TEST(MatmulBlocks, StageEverythingOnceWhereItFits) {
  const MatmulTiling tiling = choose(500, 4096, 4000);
  EXPECT_EQ(tiling.m, 504);
  EXPECT_EQ(tiling.k, 4096);
  EXPECT_EQ(tiling.n, 4000);
  EXPECT_EQ(tiling.load_buffers, 1);
}

TEST(MatmulBlocks, KeepTheDepthWhole) {
  const MatmulTiling tiling = choose(4096, 8192, 8192);
  EXPECT_EQ(tiling.k, 8192);
  EXPECT_EQ(tiling.load_buffers, 2);
  EXPECT_GT(ceil_div(4096, tiling.m) * ceil_div(8192, tiling.n), 1);
}

// Blocks of whole depth would be so narrow that the operands were read many times.
TEST(MatmulBlocks, DoNotMoveMuchMoreThanTheyMust) {
  EXPECT_EQ(choose(8192, 28672, 8192, 1000).k, 28672);
  const MatmulTiling tiling = choose(8192, 28672, 8192);
  EXPECT_LT(tiling.k, 28672);
  const sim::Machine machine = sim::load_machine("tpu-v6e");
  const double arithmetic = 8192.0 * 28672 * 8192 / (256 * 512 * 2);
  const double loaded =
      2.0 * 28672 * 8192 * static_cast<double>(ceil_div(8192, tiling.n) + ceil_div(8192, tiling.m));
  EXPECT_LE(loaded / machine.hbm_bytes_per_cycle(), 1.25 * arithmetic);
}

// Not one array of each operand: the library's own search.
TEST(MatmulBlocks, ASmallScratchpadTakesTheFastestTiles) {
  sim::Machine machine = sim::load_machine("tpu-v6e");
  machine.core.scratchpad_kib = 256;
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  const MatmulProblem problem = form.problem(1, 1024, 1024, 1024);
  const MatmulTiling tiling = search_matmul_tiling(machine, problem);
  EXPECT_TRUE(matmul_fits(machine, form, tiling));
  machine.compiler.block_traffic = 0;
  EXPECT_EQ(tiling, search_matmul_tiling(machine, problem));
}

TEST(MatmulBlocks, OtherMachinesTakeTheFastestTiles) {
  EXPECT_LT(choose(500, 4096, 4000, 0).k, 4096);
}

}  // namespace
}  // namespace npu::kernels

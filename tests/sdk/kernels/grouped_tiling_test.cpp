#include "csrc/sdk/kernels/grouped_tiling.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "csrc/sdk/kernels/matmul_model.h"
#include "sim/arch/machine.h"

namespace npu::kernels {
namespace {

MatmulForm row_groups() {
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  form.transpose_b = true;
  form.groups = MatmulForm::Groups::rows;
  return form;
}

TEST(GroupedTiling, MeansAreRoundedUpByAnEighthAtMost) {
  EXPECT_EQ(mean_length(0, 8), 1);
  for (const int64_t total : {1, 9, 100, 1000, 54321}) {
    const int64_t mean = (total + 7) / 8;
    EXPECT_GE(mean_length(total, 8), mean);
    EXPECT_LE(8 * mean_length(total, 8), 9 * mean + 8) << total;
  }
}

// Mixtral's experts, with more rows than an array has: passes over little-filled tiles are few.
TEST(GroupedTiling, TilesFillGroups) {
  const sim::Machine machine = sim::load_machine("n1");
  for (const int64_t mean : {920, 1024, 1500, 2000, 2048}) {
    const MatmulProblem problem = row_groups().problem(8, mean, 4096, 14336);
    const MatmulTiling tiling = choose_group_tiling(machine, problem);
    EXPECT_TRUE(MatmulModel(machine, problem).fits(tiling));
    const double ideal = 8.0 * 4096 * 14336 * static_cast<double>(mean) / (16 * 128 * 128);
    EXPECT_LE(MatmulModel(machine, problem).cycles(tiling), 1.16 * ideal) << mean;
  }
}

// A token or a few: every program takes columns of all groups, however many cores share them.
TEST(GroupedTiling, FewRowsAreWalkedOnAnyNumberOfCores) {
  const MatmulProblem problem = row_groups().problem(8, 1, 4096, 14336);
  for (const int cores : {8, 16, 17, 31, 32, 48, 64}) {
    sim::Machine machine = sim::load_machine("n1");
    machine.core.count = cores;
    MatmulTiling tiling = choose_group_tiling(machine, problem);
    EXPECT_TRUE(walk_groups(machine, problem, 2, tiling)) << cores;
    EXPECT_TRUE(MatmulModel(machine, problem).fits(tiling)) << cores;
    // As much under way as hides the memory's latency.
    const double under_way = 2.0 * static_cast<double>(tiling.n * tiling.k * tiling.load_buffers);
    EXPECT_GE(under_way * cores, machine.hbm.latency_ns * machine.hbm.bandwidth_gbps) << cores;
  }
}

}  // namespace
}  // namespace npu::kernels

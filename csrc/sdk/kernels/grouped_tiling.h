// Which tiles products of groups get: how many rows each group has is known on the device only.
#pragma once

#include <cstdint>

#include "csrc/sdk/kernels/matmul.h"
#include "sim/arch/machine.h"

namespace npu::kernels {

// The groups' mean length or up to an eighth more, so that few tilings are searched for.
int64_t mean_length(int64_t total, int64_t groups);

// The tiling of groups that have the problem's rows on average. A tile of more rows than a group
// has costs scratchpad, one of fewer another pass over the group's matrix, and groups differ: of
// tilings for as many rows and for more, the one that the cost model finds fastest over groups of
// several lengths.
MatmulTiling choose_group_tiling(const sim::Machine& machine, const MatmulProblem& mean);

// Whether programs should walk through all groups, each with columns of its own: then `tiling` is
// that of such programs. Few rows leave most groups empty, so that the others' programs would fall
// unevenly to the cores; but all programs read all rows, which must be little beside the matrices.
bool walk_groups(const sim::Machine& machine, const MatmulProblem& problem, int64_t rows,
                 MatmulTiling& tiling);

}  // namespace npu::kernels

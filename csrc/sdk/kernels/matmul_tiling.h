// Which tiles a matrix product runs in: a cost model ranks them, the timer decides among the best.
#pragma once

#include "csrc/sdk/kernels/matmul.h"

namespace npu::kernels {

// The same for the same machine and problem, whatever was asked before: remembered in this process
// and in the tuning cache (csrc/sdk/runtime/tuning_cache.h), which only save the search.
MatmulTiling choose_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem);

// The search itself.
MatmulTiling search_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem);

// Whether programs of the tiling fit the machine's scratchpad.
bool matmul_fits(const sim::Machine& machine, const MatmulForm& form, const MatmulTiling& tiling);

}  // namespace npu::kernels

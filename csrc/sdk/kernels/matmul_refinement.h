// From a good tiling to better ones nearby: what the cost model does not see, the timer does.
#pragma once

#include <span>

#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_model.h"
#include "csrc/sdk/kernels/matmul_simulation.h"

namespace npu::kernels {

struct TimedTiling {
  MatmulTiling tiling;
  uint64_t cycles = 0;
};

// Goes from tiling to tiling, each differing from the one before in one thing, while the timer says
// that it is faster. `known` ones are not looked at again.
MatmulTiling refine_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem,
                                  const MatmulModel& model, MatmulSimulation& simulation,
                                  TimedTiling best, std::span<const MatmulTiling> known);

}  // namespace npu::kernels

// From a good tiling to better ones nearby: what the cost model does not see, the timer does.
#pragma once

#include <span>
#include <vector>

#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_model.h"
#include "csrc/sdk/kernels/matmul_simulation.h"

namespace npu::kernels {

struct TimedTiling {
  MatmulTiling tiling;
  uint64_t cycles = 0;
};

// Goes from tiling to tiling, each differing from the one before in one thing, while the timer says
// that it is faster. Those of `known`, and what an earlier start has come to, are not looked at
// again.
class MatmulRefinement {
 public:
  MatmulRefinement(const sim::Machine& machine, const MatmulProblem& problem,
                   const MatmulModel& model, MatmulSimulation& simulation,
                   std::span<const MatmulTiling> known);

  TimedTiling from(TimedTiling start);
  // Is a step from the tiling cheap enough to be looked at?
  bool affords(const MatmulTiling& tiling) const;

 private:
  const sim::Machine& machine_;
  const MatmulProblem& p_;
  const MatmulModel& model_;
  MatmulSimulation& simulation_;
  std::vector<MatmulTiling> seen_;
};

}  // namespace npu::kernels

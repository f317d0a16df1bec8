// What the timer says about a matrix product's tilings where operands are contiguous.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_model.h"
#include "sim/timing/timer.h"

namespace npu::kernels {

class MatmulSimulation {
 public:
  MatmulSimulation(const sim::Machine& machine, const MatmulProblem& problem)
      : machine_(machine), p_(problem), model_(machine, problem), timer_(machine) {}

  // All launches; nothing where they take `limit` cycles or more.
  std::optional<sim::Timing> below(uint64_t limit, const MatmulTiling& tiling);

 private:
  std::optional<sim::Timing> products(uint64_t limit, const MatmulTiling& tiling) const;
  // The launch that adds up partial sums: the same for all tilings of as many splits.
  const sim::Timing& sums(int splits);

  const sim::Machine& machine_;
  const MatmulProblem& p_;
  const MatmulModel model_;
  const sim::Timer timer_;
  std::map<int, sim::Timing> sums_;  // by splits
};

sim::Timing simulate_matmul(const sim::Machine& machine, const MatmulProblem& problem,
                            const MatmulTiling& tiling);

}  // namespace npu::kernels

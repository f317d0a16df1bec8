// Which tiles a matrix product runs in: a cost model ranks them, the timer decides among the best.
#pragma once

#include <functional>
#include <string>

#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/runtime/choices.h"

namespace npu::kernels {

// Tilings that were chosen, remembered in this process and in the tuning cache
// (csrc/sdk/runtime/tuning_cache.h), which only save the search.
class TilingChoices {
 public:
  static constexpr size_t kSize = 9;  // numbers of a tiling

  explicit TilingChoices(const std::string& family) : choices_(family) {}
  MatmulTiling get(const sim::Machine& machine, const MatmulProblem& problem,
                   const std::function<MatmulTiling()>& search);

 private:
  sdk::Choices<6, kSize> choices_;
};

// The same for the same machine and problem, whatever was asked before.
MatmulTiling choose_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem);

// The search itself.
MatmulTiling search_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem);

// Whether programs of the tiling fit the machine's scratchpad.
bool matmul_fits(const sim::Machine& machine, const MatmulForm& form, const MatmulTiling& tiling);

}  // namespace npu::kernels

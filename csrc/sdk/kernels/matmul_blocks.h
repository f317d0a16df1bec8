// The tiling of a matrix product where the chip's compiler takes the largest blocks that fit the
// scratchpad (`compiler.block_traffic`), whether or not others would be faster.
#pragma once

#include <functional>
#include <optional>

#include "csrc/sdk/kernels/matmul.h"

namespace npu::kernels {

// Operands are staged once where everything fits. Else, of the tilings that `fits` accepts and that
// move no more than the machine file allows, the one that splits k least often, of these the one
// with the fewest steps, of these the one that moves least. Nothing where not even one array of
// each operand fits.
std::optional<MatmulTiling> largest_matmul_blocks(
    const sim::Machine& machine, const MatmulProblem& problem,
    const std::function<bool(const MatmulTiling&)>& fits);

}  // namespace npu::kernels

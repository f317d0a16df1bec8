// Gathering along the dimension that memory walks: whole lines are loaded, and elements are chosen
// among them in the scratchpad, where single elements of memory would each move a burst.
#pragma once

#include <optional>
#include <string_view>

#include "npu/kernels/tensor.h"
#include "sim/arch/machine.h"

namespace npu::kernels {

// Whether out[.., i, ..] = in[.., index[.., i, ..], ..] along `dim` should be computed so: lines
// fit the scratchpad, and to load them moves fewer bytes.
bool gathers_rows(const sim::Machine& machine, const Tensor& out, const Tensor& in, int dim);

// Sizes are checked: the index has those of out. An index outside of its line fails the launch.
npuStatus run_row_gather(std::string_view kernel, const sim::Machine& machine, const Tensor& out,
                         const Tensor& in, int dim, const Tensor& index, npuStream stream);

}  // namespace npu::kernels

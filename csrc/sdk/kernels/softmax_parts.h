// softmax and log_softmax of few long lines, whose parts different cores take.
#pragma once

#include "npu/kernels/tensor.h"
#include "sim/arch/machine.h"

namespace npu::kernels {

// In how many equal parts the lines should be taken; 1 where there is enough to do without, and for
// lengths that have no such divisor.
int64_t parts_of_softmax(const sim::Machine& machine, const Tensor& out, const Tensor& in, int dim);

// A first launch leaves a maximum and a sum of exponentials for each part, a second one joins those
// of a line and computes the results. Arguments are checked.
npuStatus softmax_in_parts(const sim::Machine& machine, const Tensor& out, const Tensor& in,
                           int dim, bool log, int64_t parts, npuStream stream);

}  // namespace npu::kernels

// Joins the partial results of attention whose keys were split over programs.
#pragma once

#include "csrc/sdk/kernels/attention_program.h"

namespace npu::kernels {

// Fills the call's `out` [T, H, Dv] from its partials, split after split in order. Rows of tokens
// from starts[N] on (`starts` [N + 1] says where sequences begin) are left as they are.
npuStatus combine_attention(const sim::Machine& machine, const AttentionCall& call,
                            const Tensor& starts, npuStream stream);

}  // namespace npu::kernels

// Joins the partial results of sequences that decode programs share.
#pragma once

#include "csrc/sdk/kernels/attention_program.h"

namespace npu::kernels {

// Fills the rows of the call's `out` [T, H, Dv] that belong to shared sequences from its partials,
// part after part in order. `starts` [N + 1] says where sequences begin, `lengths` [N] how many
// keys they have.
npuStatus combine_attention(const sim::Machine& machine, const AttentionCall& call,
                            const Tensor& starts, const Tensor& lengths, npuStream stream);

}  // namespace npu::kernels

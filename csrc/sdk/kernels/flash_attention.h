// Dense attention: every sequence of the batch has the same lengths.
#pragma once

#include "csrc/sdk/kernels/attention_program.h"

namespace npu::kernels {

// Of tensors [B, H, L, D].
AttentionCall dense_call(const Tensor& out, const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionOptions& options);

sim::Program build_flash_attention(const sim::Machine& machine, const AttentionForm& form);
// Its arguments.
void pass_flash_attention(Arguments& args, const AttentionCall& call, const Tensor& mask,
                          const Tensor& logsumexp);

}  // namespace npu::kernels

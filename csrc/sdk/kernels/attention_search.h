// The choice of an attention program's blocks: by the timer where it can compare, else by the cost
// model.
#pragma once

#include "csrc/sdk/kernels/attention_tiles.h"

namespace npu::kernels {

// Rows, keys and buffers of a program, and whether its rows are one block or two. Needs all else of
// the form but what makes it a decode program. Choices are remembered.
void choose_blocks(const sim::Machine& machine, const AttentionWork& work, AttentionForm& form);

}  // namespace npu::kernels

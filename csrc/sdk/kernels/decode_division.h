// How programs divide the KV heads and the sequences of a paged call of one or some tokens each
// among them.
#pragma once

#include <vector>

#include "csrc/sdk/kernels/attention_program.h"

namespace npu::kernels {

// Programs that may serve a paged call, and what they would take.
struct DecodeDivision {
  AttentionForm form;
  int64_t parts = 1;
  int64_t head_chunks = 1;
  int64_t turns = 1;
  double cycles = 0;  // of the launches, by a cost model that is good for comparing
};

// What plan_attention() gave, the division of attention among many rows, comes first and may be
// all: a program for each KV head of each sequence, and for each tile of its rows. Then decode
// programs (attention_decode.cpp) of one or more KV heads at a time, which take whole sequences or
// equal shares of the keys of all.
//
// The host does not know the lengths: the longest sequence is taken to be as long as the block
// table allows, the others half as long, so that costs depend on the machine and on shapes alone.
std::vector<DecodeDivision> decode_divisions(const sim::Machine& machine,
                                             const AttentionCall& call);
// Makes the call one of its divisions.
void divide(const sim::Machine& machine, const DecodeDivision& division, AttentionCall& call);
// Makes it the one that costs least.
void divide_decode(const sim::Machine& machine, AttentionCall& call);

}  // namespace npu::kernels

// How programs divide the KV heads and the sequences of a decode step's attention among them.
#pragma once

#include "csrc/sdk/kernels/attention_program.h"

namespace npu::kernels {

// How the cache of a paged call lies in memory.
struct CacheLayout {
  int64_t kv_heads = 1;
  int64_t run = 1;            // keys of a block that may be fetched together: a power of two
  bool pairs = false;         // a value lies beside its key
  bool side_by_side = false;  // a key's KV heads lie side by side
};

// Chooses the programs of a call of few rows, by a cost model. `call` comes with the form and the
// division of attention among many rows, which it may keep:
//
// - a program for each KV head of each sequence, as for many rows;
// - decode programs (attention_decode.cpp) of one or more KV heads at a time, which take whole
//   sequences or equal shares of the keys of all.
//
// The host does not know the lengths: the longest sequence is taken to be as long as the block
// table allows, the others half as long, so that the choice depends on the machine and on shapes
// alone.
void divide_decode(const sim::Machine& machine, const CacheLayout& cache, AttentionCall& call);

}  // namespace npu::kernels

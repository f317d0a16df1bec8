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

// Makes a call of few rows, whose form and division are those of attention among many, that of the
// programs that a cost model finds fastest for sequences of half the length that they may have:
//
// - as it is: one program for each KV head of each sequence;
// - decode programs (attention_decode.cpp) of one or more KV heads at a time, which take whole
//   sequences or equal shares of the keys of all.
//
// The host does not know the lengths: it depends on the machine and on shapes alone.
void divide_decode(const sim::Machine& machine, const CacheLayout& cache, AttentionCall& call);

}  // namespace npu::kernels

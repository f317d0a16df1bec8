// The steps of paged_attention(): tests take them one by one.
#pragma once

#include "csrc/sdk/kernels/attention_program.h"

namespace npu::kernels {

struct PagedOperands {
  const Tensor &out, &q, &k_cache, &v_cache, &block_table, &cu_seqlens_q, &kv_lens;
};

// `call` refers to the operands. Next come plan_attention() and divide_decode().
npuStatus check_paged(const PagedOperands& operands, int64_t max_query_len,
                      const AttentionOptions& options, AttentionCall* call);

npuStatus launch_paged(const sim::Machine& machine, AttentionCall call,
                       const PagedOperands& operands, npuStream stream);

}  // namespace npu::kernels

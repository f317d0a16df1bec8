// Varlen attention: sequences of different lengths stand one after the other in packed tensors.
#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "varlen_attention";

sim::Program build(const sim::Machine& machine, const AttentionForm& form, DType queries,
                   DType keys) {
  AttentionProgram program(std::string(kKernel), machine, form);
  sdk::Builder& b = program.builder();
  const SequenceTable query_table(b, "cu_seqlens_q", queries);
  const SequenceTable key_table(b, "cu_seqlens_k", keys);
  const Value k_head = b.integer("k_head_stride");
  const Value k_token = b.integer("k_token_stride");
  const Value v_head = b.integer("v_head_stride");
  const Value v_token = b.integer("v_token_stride");
  const Value q_token = b.integer("q_start_stride");
  const Value out_token = b.integer("out_start_stride");

  const Value q_begin = query_table.load(program.sequence());
  const Value q_end = query_table.load(program.sequence() + 1);
  const Value k_begin = key_table.load(program.sequence());
  const Value k_end = key_table.load(program.sequence() + 1);
  const Value query_len = q_end - q_begin;
  const Value key_len = k_end - k_begin;
  const auto rows_of = [&](Pointer pointer, const Value& head, const Value& token,
                           const Value& dim) {
    const Value offset = k_begin * token + program.kv_head() * head;
    return [&b, pointer, dim, token, offset](const Tile& tile, const Value& first,
                                             const Value& count) {
      b.load(tile, pointer, offset + first * token, Region({{count, token}}, {{dim, 1}}));
    };
  };
  const auto load_keys = rows_of(program.k(), k_head, k_token, program.head_dim());
  const auto load_values = rows_of(program.v(), v_head, v_token, program.value_dim());
  return program.write({query_len, key_len, q_begin * q_token, q_begin * out_token}, load_keys,
                       load_values);
}

}  // namespace

npuStatus varlen_attention(const Tensor& out, const Tensor& q, const Tensor& k, const Tensor& v,
                           const Tensor& cu_seqlens_q, const Tensor& cu_seqlens_k,
                           int64_t max_query_len, const AttentionOptions& options,
                           npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_packed(kKernel, out, q, max_query_len));
    if (k.rank != 3 || v.rank != 3 || k.sizes[0] != v.sizes[0]) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: k of rank {} and {} tokens, v of rank {} and {} tokens; both must be "
                        "of rank 3 and of as many tokens",
                        kKernel, k.rank, k.sizes[0], v.rank, v.sizes[0]);
    }
    NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "cu_seqlens_q", cu_seqlens_q));
    NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "cu_seqlens_k", cu_seqlens_k));
    const int64_t sequences = cu_seqlens_q.sizes[0] - 1;
    if (cu_seqlens_k.sizes[0] != cu_seqlens_q.sizes[0] || sequences < 0) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: cu_seqlens_q has {} elements, cu_seqlens_k {}; both must have one "
                        "more than there are sequences",
                        kKernel, cu_seqlens_q.sizes[0], cu_seqlens_k.sizes[0]);
    }
    AttentionCall call = packed_call(kKernel, out, q, options, sequences, max_query_len);
    call.k = {&k, 0, 1};
    call.v = {&v, 0, 1};
    NPU_RETURN_IF_ERROR(check_attention(call));
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    if (out.numel() == 0 || sequences == 0 || max_query_len == 0) return NPU_SUCCESS;

    NPU_RETURN_IF_ERROR(plan_attention(*machine, call));
    const AttentionForm& form = call.form;
    const auto queries = static_cast<DType>(cu_seqlens_q.dtype);
    const auto keys = static_cast<DType>(cu_seqlens_k.dtype);
    const auto key = form.key();
    const int64_t tables = static_cast<int64_t>(queries) << 8 | static_cast<int64_t>(keys);
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {kKernel, {key[0], key[1], key[2], key[3], key[4], tables}},
        [&](const sim::Machine& m) { return build(m, form, queries, keys); }, &kernel));

    Arguments args;
    pass_attention(args, call, {}, {});
    pass_sequence_table(args, cu_seqlens_q);
    pass_sequence_table(args, cu_seqlens_k);
    for (const HeadsView* view : {&call.k, &call.v}) {
      args.integer(view->head_stride());
      args.integer(view->token_stride());
    }
    args.integer(call.q.token_stride());
    args.integer(call.out.token_stride());
    return launch(kernel, call.grid(), args, stream);
  });
}

sim::Program library_varlen_attention(const sim::Machine& machine) {
  return build(machine, representative_attention(machine), DType::i32, DType::i32);
}

}  // namespace npu::kernels

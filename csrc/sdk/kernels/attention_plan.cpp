// What an attention call is checked for, and the form and sizes of the program that serves it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/attention_search.h"
#include "csrc/sdk/kernels/attention_tiles.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {

namespace {

constexpr int64_t kDimGranule = 32;
int64_t round_up(int64_t n, int64_t granule) { return ceil_div(n, granule) * granule; }

AttentionWork work_of(const AttentionCall& call) {
  const bool packed = call.q.token_dim == 0;
  const int64_t tokens = call.q.tensor->sizes[0];
  return {.sequences =
              packed ? std::min(ceil_div(tokens, call.query_len), call.sequences) : call.sequences,
          .kv_heads = call.k.heads(),
          .group = call.group,
          .query_len = call.query_len,
          .key_len = std::max(call.key_len, call.query_len),
          .window = call.options.window};
}

npuStatus check_view(std::string_view kernel, std::string_view operand, const HeadsView& view) {
  const Tensor& tensor = *view.tensor;
  NPU_RETURN_IF_ERROR(check_tensor(kernel, operand, tensor));
  if (!sim::is_float(static_cast<DType>(tensor.dtype))) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} is {}, it must be floating", kernel, operand,
                      sim::name(static_cast<DType>(tensor.dtype)));
  }
  const int64_t stride = tensor.strides[tensor.rank - 1];
  if (view.dim() > 1 && stride != 1) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} has last stride {}, it must be 1", kernel,
                      operand, stride);
  }
  return NPU_SUCCESS;
}

}  // namespace

std::array<int64_t, 5> AttentionForm::key() const {
  const auto code = [](DType type, int shift) { return static_cast<int64_t>(type) << shift; };
  const auto bit = [](bool flag, int shift) { return static_cast<int64_t>(flag) << shift; };
  const int64_t types = code(type, 0) | code(out, 8) | code(sink_type, 16) | code(mask_type, 24);
  const int64_t form = static_cast<int64_t>(mask) | bit(causal, 8) | bit(window, 9) |
                       bit(soft_cap, 10) | bit(sinks, 11) | bit(logsumexp, 12) | bit(natural, 13) |
                       bit(shares, 14) | bit(decode, 15) | bit(pairs, 16) | bit(side_by_side, 17);
  return {types | form << 32, head_dim | value_dim << 32, rows | keys << 32,
          static_cast<int64_t>(kv_heads) << 32 | blocks, run << 32 | only_lot << 16 | buffers};
}

AttentionCall packed_call(std::string_view kernel, const Tensor& out, const Tensor& q,
                          const AttentionOptions& options, int64_t sequences,
                          int64_t max_query_len) {
  AttentionCall call;
  call.kernel = kernel;
  call.q = {&q, 0, 1};
  call.out = {&out, 0, 1};
  call.options = options;
  call.sequences = sequences;
  call.query_len = max_query_len;
  return call;
}

npuStatus check_attention(const AttentionCall& call) {
  const std::string_view kernel = call.kernel;
  NPU_RETURN_IF_ERROR(check_view(kernel, "q", call.q));
  NPU_RETURN_IF_ERROR(check_view(kernel, "k", call.k));
  NPU_RETURN_IF_ERROR(check_view(kernel, "v", call.v));
  NPU_RETURN_IF_ERROR(check_view(kernel, "out", call.out));
  const npuDataType type = call.q.tensor->dtype;
  for (const HeadsView* view : {&call.k, &call.v}) {
    if (view->tensor->dtype == type) continue;
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: q is {}, {} is {}: they must be the same",
                      kernel, sim::name(static_cast<DType>(type)), view == &call.k ? "k" : "v",
                      sim::name(static_cast<DType>(view->tensor->dtype)));
  }
  if (call.q.dim() != call.k.dim() || call.q.dim() < 1) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: head dimensions {} of q and {} of k", kernel,
                      call.q.dim(), call.k.dim());
  }
  if (call.v.dim() != call.out.dim()) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: head dimensions {} of v and {} of out", kernel,
                      call.v.dim(), call.out.dim());
  }
  if (call.k.heads() != call.v.heads()) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} heads of k and {} of v", kernel,
                      call.k.heads(), call.v.heads());
  }
  if (call.q.heads() != call.out.heads()) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} heads of q and {} of out", kernel,
                      call.q.heads(), call.out.heads());
  }
  if (call.k.heads() < 1 || call.q.heads() % call.k.heads() != 0) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} query heads are no multiple of {} KV heads",
                      kernel, call.q.heads(), call.k.heads());
  }
  const AttentionOptions& options = call.options;
  if (!std::isfinite(options.scale) || !(options.soft_cap >= 0) || options.window < 0) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: scale {}, soft cap {}, window {}: the scale must be finite, the others "
                      "not negative",
                      kernel, options.scale, options.soft_cap, options.window);
  }
  if (!options.sinks.defined()) return NPU_SUCCESS;
  NPU_RETURN_IF_ERROR(check_tensor(kernel, "sinks", options.sinks));
  if (options.sinks.rank != 1 || options.sinks.sizes[0] != call.q.heads() ||
      !sim::is_float(static_cast<DType>(options.sinks.dtype))) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: sinks of rank {}, {} elements and type {}: it must be floating, [{}]",
                      kernel, options.sinks.rank, options.sinks.numel(),
                      sim::name(static_cast<DType>(options.sinks.dtype)), call.q.heads());
  }
  return NPU_SUCCESS;
}

npuStatus plan_attention(const sim::Machine& machine, AttentionCall& call) {
  AttentionForm& form = call.form;
  // Wider than any sequence is long, yet far from overflowing when keys are added to it.
  constexpr int64_t kWidest = int64_t{1} << 40;
  call.options.window = std::min(call.options.window, kWidest);
  const AttentionOptions& options = call.options;
  form.type = static_cast<DType>(call.q.tensor->dtype);
  form.out = static_cast<DType>(call.out.tensor->dtype);
  form.causal = options.causal;
  form.window = options.window > 0;
  form.soft_cap = options.soft_cap > 0;
  form.sinks = options.sinks.defined();
  if (form.sinks) form.sink_type = static_cast<DType>(options.sinks.dtype);
  form.natural = form.mask == AttentionForm::Mask::additive || options.scale <= 0;
  form.head_dim = round_up(call.q.dim(), kDimGranule);
  form.value_dim = round_up(call.v.dim(), kDimGranule);

  call.group = call.q.heads() / call.k.heads();
  choose_blocks(machine, work_of(call), form);
  if (!fit(machine, form)) {
    return sdk::failf(NPU_ERROR_UNIMPLEMENTED,
                      "{}: head dimensions {} and {} of type {} exceed a scratchpad of {} bytes",
                      call.kernel, call.q.dim(), call.v.dim(), sim::name(form.type),
                      machine.scratchpad_bytes());
  }
  call.divide();
  return NPU_SUCCESS;
}

void AttentionCall::divide() {
  const RowDivision rows = divide_rows(form, group, query_len);
  heads_each = rows.heads;
  head_chunks = k.heads() * ceil_div(group, heads_each);
  tokens_each = rows.tokens;
  query_tiles = rows.tiles;
}

int64_t AttentionCall::most_keys() const {
  // A window's first key moves to the beginning of its run.
  return options.window > 0 ? options.window + query_len + form.run : kUnlimited;
}

AttentionForm representative_attention(const sim::Machine& machine, bool paged) {
  AttentionForm form;
  form.type = form.out = DType::bf16;
  form.causal = true;
  form.paged = paged;
  form.head_dim = form.value_dim = 128;
  choose_blocks(machine, {.kv_heads = 8, .group = 4, .query_len = 4096, .key_len = 4096}, form);
  fit(machine, form);
  return form;
}

void pass_attention(Arguments& args, const AttentionCall& call, const Tensor& mask,
                    const Tensor& logsumexp) {
  const AttentionForm& form = call.form;
  const AttentionOptions& options = call.options;
  args.pointer(call.q.tensor->data);
  args.pointer(call.k.tensor->data);
  args.pointer(call.v.tensor->data);
  args.pointer(call.out.tensor->data);
  args.integer(call.q.dim());
  args.integer(call.v.dim());
  args.integer(call.q.token_stride());
  args.integer(call.q.head_stride());
  args.integer(call.out.token_stride());
  args.integer(call.out.head_stride());
  args.integer(call.group);
  args.integer(call.heads_each);
  args.integer(ceil_div(call.group, call.heads_each));
  args.integer(call.head_chunks);
  args.integer(call.sequences);
  args.integer(call.query_tiles);
  args.integer(call.tokens_each);
  args.integer(form.keys);
  if (form.window) args.integer(options.window);

  const double unit = form.natural ? 1 : std::numbers::log2e;
  const double outer = form.soft_cap ? options.soft_cap : options.scale;
  args.real(form.natural ? 1 : outer * unit);
  args.real(form.natural ? -1 : -outer * unit);
  if (form.soft_cap) args.real(options.scale / options.soft_cap);
  if (form.natural) args.real(outer);

  if (form.mask != AttentionForm::Mask::none) {
    args.pointer(mask.data);
    for (int d = 0; d < 4; ++d) args.integer(mask.strides[d]);
    args.integer(mask.strides[1] == 0 && mask.strides[2] == 0 ? 1 : kUnlimited);
    args.integer(mask.strides[3] == 0 ? 1 : kUnlimited);
  }
  if (form.logsumexp) {
    args.pointer(logsumexp.data);
    for (int d = 0; d < 3; ++d) args.integer(logsumexp.strides[d]);
  }
  if (form.sinks) {
    args.pointer(options.sinks.data);
    args.integer(options.sinks.strides[0]);
  }
}

void pass_decode(Arguments& args, const AttentionCall& call) {
  args.integer(call.turns);
  if (!call.form.shares) {
    args.integer(call.parts);
    return;
  }
  KeyShares::pass(args, call.parts, call.least_units, call.most_keys());
  args.pointer(call.partials);
  args.integer(call.partial_rows());
  args.integer(call.q.heads());
}

}  // namespace npu::kernels

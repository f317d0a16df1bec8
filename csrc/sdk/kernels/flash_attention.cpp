#include "csrc/sdk/kernels/flash_attention.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "csrc/sdk/kernels/attention_program.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {

sim::Program build_flash_attention(const sim::Machine& machine, const AttentionForm& form) {
  AttentionProgram program("flash_attention", machine, form);
  sdk::Builder& b = program.builder();
  const Value query_len = b.integer("query_len");
  const Value key_len = b.integer("key_len");
  const Value q_batch = b.integer("q_batch_stride");
  const Value out_batch = b.integer("out_batch_stride");
  const auto rows_of = [&](Pointer pointer, const char* name, const Value& dim) {
    const Value batch = b.integer(fmt::format("{}_batch_stride", name));
    const Value head = b.integer(fmt::format("{}_head_stride", name));
    const Value token = b.integer(fmt::format("{}_token_stride", name));
    const Value offset = program.sequence() * batch + program.kv_head() * head;
    return [&b, pointer, dim, token, offset](const Tile& tile, const Value& first,
                                             const Value& count) {
      b.load(tile, pointer, offset + first * token, Region({{count, token}}, {{dim, 1}}));
    };
  };
  const auto keys = rows_of(program.k(), "k", program.head_dim());
  const auto values = rows_of(program.v(), "v", program.value_dim());
  return program.write(
      {query_len, key_len, program.sequence() * q_batch, program.sequence() * out_batch}, keys,
      values);
}

AttentionCall dense_call(const Tensor& out, const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionOptions& options) {
  AttentionCall call;
  call.q = {&q, 2, 1};
  call.k = {&k, 2, 1};
  call.v = {&v, 2, 1};
  call.out = {&out, 2, 1};
  call.options = options;
  call.sequences = q.sizes[0];
  call.query_len = q.sizes[2];
  call.key_len = k.sizes[2];
  return call;
}

void pass_flash_attention(Arguments& args, const AttentionCall& call, const Tensor& mask,
                          const Tensor& logsumexp) {
  const Tensor& q = *call.q.tensor;
  const Tensor& k = *call.k.tensor;
  pass_attention(args, call, mask, logsumexp);
  args.integer(q.sizes[2]);
  args.integer(k.sizes[2]);
  args.integer(q.strides[0]);
  args.integer(call.out.tensor->strides[0]);
  for (const Tensor* tensor : {&k, call.v.tensor}) {
    for (int d = 0; d < 3; ++d) args.integer(tensor->strides[d]);
  }
}

namespace {

constexpr std::string_view kKernel = "attention";

npuStatus check_sizes(std::string_view operand, const Tensor& tensor,
                      std::initializer_list<int64_t> sizes) {
  const std::span<const int64_t> actual(tensor.sizes.data(), static_cast<size_t>(tensor.rank));
  if (std::ranges::equal(actual, sizes)) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} has sizes [{}], expected are [{}]", kKernel,
                    operand, fmt::join(actual, ", "), fmt::join(sizes, ", "));
}

npuStatus check_shapes(const Tensor& out, const Tensor& logsumexp, const Tensor& q, const Tensor& k,
                       const Tensor& v, const Tensor& mask) {
  for (const Tensor* tensor : {&q, &k, &v}) {
    if (tensor->rank == 4) continue;
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: ranks {} of q, {} of k, {} of v; all must be 4",
                      kKernel, q.rank, k.rank, v.rank);
  }
  const int64_t batch = q.sizes[0];
  const int64_t heads = q.sizes[1];
  const int64_t queries = q.sizes[2];
  const int64_t keys = k.sizes[2];
  NPU_RETURN_IF_ERROR(check_sizes("k", k, {batch, k.sizes[1], keys, q.sizes[3]}));
  NPU_RETURN_IF_ERROR(check_sizes("v", v, {batch, k.sizes[1], keys, v.sizes[3]}));
  NPU_RETURN_IF_ERROR(check_sizes("out", out, {batch, heads, queries, v.sizes[3]}));
  if (mask.defined()) {
    NPU_RETURN_IF_ERROR(check_tensor(kKernel, "the mask", mask));
    NPU_RETURN_IF_ERROR(check_sizes("the mask", mask, {batch, heads, queries, keys}));
    const auto type = static_cast<DType>(mask.dtype);
    if (type != DType::b8 && !sim::is_float(type)) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: the mask is {}, it must be bool or floating",
                        kKernel, sim::name(type));
    }
  }
  if (logsumexp.defined()) {
    NPU_RETURN_IF_ERROR(check_sizes("logsumexp", logsumexp, {batch, heads, queries}));
    if (logsumexp.dtype != NPU_F32) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: logsumexp is {}, it must be f32", kKernel,
                        sim::name(static_cast<DType>(logsumexp.dtype)));
    }
  }
  return NPU_SUCCESS;
}

}  // namespace

npuStatus attention(const Tensor& out, const Tensor& logsumexp, const Tensor& q, const Tensor& k,
                    const Tensor& v, const Tensor& mask, const AttentionOptions& options,
                    npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_shapes(out, logsumexp, q, k, v, mask));
    AttentionCall call = dense_call(out, q, k, v, options);
    call.kernel = kKernel;
    NPU_RETURN_IF_ERROR(check_attention(call));
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    if (out.numel() == 0) return NPU_SUCCESS;

    AttentionForm& form = call.form;
    form.logsumexp = logsumexp.defined();
    if (mask.defined()) {
      form.mask_type = static_cast<DType>(mask.dtype);
      form.mask = form.mask_type == DType::b8 ? AttentionForm::Mask::boolean
                                              : AttentionForm::Mask::additive;
    }
    NPU_RETURN_IF_ERROR(plan_attention(*machine, call));
    const auto key = form.key();
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {"flash_attention", {key[0], key[1], key[2], key[3], key[4]}},
        [&form](const sim::Machine& m) { return build_flash_attention(m, form); }, &kernel));

    Arguments args;
    pass_flash_attention(args, call, mask, logsumexp);
    return launch(kernel, call.grid(), args, stream);
  });
}

sim::Program library_flash_attention(const sim::Machine& machine) {
  return build_flash_attention(machine, representative_attention(machine));
}

}  // namespace npu::kernels

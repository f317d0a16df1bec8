#include "csrc/sdk/kernels/sequence_table.h"

#include "csrc/sdk/kernels/iteration.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {

SequenceTable::SequenceTable(sdk::Builder& builder, const std::string& name, sim::DType type)
    : builder_(builder),
      pointer_(builder.pointer(name)),
      stride_(builder.integer(name + "_stride")),
      type_(type) {}

sdk::Value SequenceTable::load_at(const sdk::Value& offset) const {
  return builder_.load_scalar(pointer_, offset, type_);
}

void pass_sequence_table(Arguments& args, const Tensor& table) {
  args.pointer(table.data);
  args.integer(table.strides[0]);
}

bool is_index_type(npuDataType type) { return type == NPU_I32 || type == NPU_I64; }

npuStatus check_sequence_table(std::string_view kernel, std::string_view operand,
                               const Tensor& table) {
  NPU_RETURN_IF_ERROR(check_tensor(kernel, operand, table));
  if (table.rank == 1 && is_index_type(table.dtype)) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE,
                    "{}: {} has rank {} and type {}, expected are 1 and "
                    "i32 or i64",
                    kernel, operand, table.rank, sim::name(static_cast<sim::DType>(table.dtype)));
}

npuStatus check_packed(std::string_view kernel, const Tensor& out, const Tensor& q,
                       int64_t max_query_len) {
  if (q.rank != 3 || out.rank != 3 || q.sizes[0] != out.sizes[0]) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: q of rank {} and {} tokens, out of rank {} and {} tokens; both must be "
                      "of rank 3 and of as many tokens",
                      kernel, q.rank, q.sizes[0], out.rank, out.sizes[0]);
  }
  if (max_query_len >= 0 && max_query_len <= q.sizes[0]) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: max_query_len {} with {} tokens", kernel,
                    max_query_len, q.sizes[0]);
}

}  // namespace npu::kernels

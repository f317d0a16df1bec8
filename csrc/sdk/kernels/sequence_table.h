// Small integer tensors that say where sequences begin and how long they are: read by scalar loads.
#pragma once

#include <string>
#include <string_view>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/arguments.h"
#include "npu/kernels/tensor.h"

namespace npu::kernels {

// A gather's or scatter's index beyond every allocation, whatever its stride, unless that is 0.
inline constexpr int64_t kNowhere = int64_t{1} << 40;

class SequenceTable {
 public:
  // Declares the arguments of pass_sequence_table().
  SequenceTable(sdk::Builder& builder, const std::string& name, sim::DType type);
  sdk::Value load(const sdk::Value& index) const { return load_at(offset(index)); }

  // For those who step through the table.
  sdk::Value offset(const sdk::Value& index) const { return index * stride_; }
  const sdk::Value& stride() const { return stride_; }
  sdk::Value load_at(const sdk::Value& offset) const;

 private:
  sdk::Builder& builder_;
  sdk::Pointer pointer_;
  sdk::Value stride_;
  sim::DType type_;
};

void pass_sequence_table(Arguments& args, const Tensor& table);

bool is_index_type(npuDataType type);  // i32 or i64

// Rank 1 and of an index type.
npuStatus check_sequence_table(std::string_view kernel, std::string_view operand,
                               const Tensor& table);

// q [T, H, D] and out [T, H, Dv] of a packed batch, and its longest query.
npuStatus check_packed(std::string_view kernel, const Tensor& out, const Tensor& q,
                       int64_t max_query_len);

}  // namespace npu::kernels

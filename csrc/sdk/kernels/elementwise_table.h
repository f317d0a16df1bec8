// The table of element-wise operations.
#pragma once

#include <span>
#include <string_view>

#include "csrc/sdk/kernels/formula.h"
#include "npu/kernels/elementwise.h"

namespace npu::kernels {

inline constexpr int kMaxElementwiseInputs = 4;
inline constexpr int kMaxElementwiseScalars = 4;

struct ElementwiseOp {
  // What the operation computes in: f64 if a tensor is, else f32 if one is floating, else i64; but
  enum class Domain : uint8_t {
    any,
    reals,      // integers are computed in f32; integer outputs are refused
    integers,   // floating tensors are refused
    predicate,  // what is written is true or false: only the inputs count
  };

  std::string_view name;
  int inputs;
  int scalars;
  Domain domain;
  Expr (*formula)(Formula& f);
};

std::span<const ElementwiseOp> elementwise_table();

}  // namespace npu::kernels

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
  std::string_view name;
  int inputs;
  int scalars;
  // Predicates choose the type in which they compute by their inputs alone, since what they write
  // is true or false.
  bool is_predicate;
  Expr (*formula)(Formula& f);
};

std::span<const ElementwiseOp> elementwise_table();

}  // namespace npu::kernels

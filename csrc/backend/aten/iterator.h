// From TensorIterator to the SDK's element-wise family.
#pragma once

#include <ATen/TensorIterator.h>
#include <npu/kernels/elementwise.h>

#include <array>
#include <string_view>

#include "csrc/backend/aten/name.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {

// The SDK's table entry of that name, looked up once. A name that the table lacks is a programming
// error and fails at the first call, naming it.
const kernels::ElementwiseOp* elementwise_entry(std::string_view name);

template <Name name>
const kernels::ElementwiseOp* elementwise_op() {
  static const kernels::ElementwiseOp* const op = elementwise_entry(name.view());
  return op;
}

// One operand as the kernel library sees it: the iterator's merged and reordered dimensions,
// outermost first.
kernels::Tensor iterator_operand(at::TensorIteratorBase& iterator, int arg);

// Which entry of the table to run, with which scalars.
struct Plan {
  const kernels::ElementwiseOp* op = nullptr;
  std::array<kernels::Scalar, 4> scalars = {};
  size_t count = 0;
  bool as_inputs = false;  // the scalars stand for the entry's last inputs
};

inline kernels::Scalar to_kernel(double value) { return {value}; }
inline kernels::Scalar to_kernel(int64_t value) { return {value}; }

template <Name name, class... Scalars>
Plan plan(const Scalars&... scalars) {
  return {elementwise_op<name>(), {to_kernel(scalars)...}, sizeof...(Scalars), false};
}

// For entries whose last inputs may be numbers: plan_inputs<"clamp">(min, max).
template <Name name, class... Scalars>
Plan plan_inputs(const Scalars&... scalars) {
  return {elementwise_op<name>(), {to_kernel(scalars)...}, sizeof...(Scalars), true};
}

// outputs = plan(inputs) over the iterator's operands. 0-dimensional CPU inputs are passed as
// immediates.
void run_elementwise(at::TensorIteratorBase& iterator, const Plan& plan);

}  // namespace npu::backend

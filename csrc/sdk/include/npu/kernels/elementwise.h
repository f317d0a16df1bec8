// Element-wise families: any mix of implemented dtypes, strides and broadcasting.
#pragma once

#include <string_view>
#include <vector>

#include "npu/kernels/tensor.h"

namespace npu::kernels {

// One entry of the table in csrc/sdk/kernels/elementwise_table.cpp.
struct ElementwiseOp;

// Null if the table has no such name. Entries live for ever.
const ElementwiseOp* find_elementwise(std::string_view name);
std::vector<std::string_view> elementwise_names();

// outputs[0] = op(inputs..., scalars...). All tensors have the same sizes (broadcast inputs have
// stride 0, immediates null data: see Tensor::immediate). Outputs may be the very same view as an
// input; other overlap is undefined. Computes in f64 if any tensor is f64, else f32 if any is
// floating, else i64; predicates choose by their inputs alone.
npuStatus elementwise(const ElementwiseOp* op, TensorSpan outputs, TensorSpan inputs,
                      ScalarSpan scalars, npuStream stream);

// dst = src with dtype conversion (to integer truncates, to bool is != 0). Same sizes.
npuStatus copy(const Tensor& dst, const Tensor& src, npuStream stream);

// Every element of dst = value. A zero fill of whole pages costs the host nothing.
npuStatus fill(const Tensor& dst, Scalar value, npuStream stream);

// dst[i] = start + i * step over dst in logical (row-major) order.
npuStatus arange(const Tensor& dst, Scalar start, Scalar step, npuStream stream);

// dst = src where column - row <= diagonal (lower) or >= diagonal (upper), else 0, in the last two
// dimensions.
npuStatus triangle(const Tensor& dst, const Tensor& src, int64_t diagonal, bool lower,
                   npuStream stream);

}  // namespace npu::kernels

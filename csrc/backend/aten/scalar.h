// Scalars as the tensors beside them have them.
#pragma once

#include <c10/core/Scalar.h>
#include <c10/core/ScalarType.h>
#include <npu/kernels/tensor.h>

namespace npu::backend {

// The value as an element of `type` keeps it: rounded to 16-bit floats, wrapped to integers.
kernels::Scalar in_dtype(const kernels::Scalar& value, c10::ScalarType type);

// PyTorch's RuntimeError where `type` cannot hold the value.
void check_fits(const c10::Scalar& value, c10::ScalarType type);

}  // namespace npu::backend

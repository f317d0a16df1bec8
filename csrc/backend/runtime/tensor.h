// PyTorch's tensors as the kernel library sees them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Scalar.h>

#include <optional>

#include "npu/kernels/tensor.h"

namespace npu::backend {

// The device's data type; nullopt for those that it has no code for (complex, quantised, unsigned
// beyond 8 bits).
std::optional<npuDataType> find_dtype(c10::ScalarType type) noexcept;
// Throws NotImplementedError, naming the type, instead.
npuDataType to_dtype(c10::ScalarType type);
c10::ScalarType to_scalar_type(npuDataType dtype);

// Whether kernels compute with the type: those with a code but the packed and 8-bit floating ones.
bool has_kernels(c10::ScalarType type) noexcept;

// The same view of device memory. Throws for another device, an unsupported dtype or more than
// kernels::kMaxRank dimensions. Conjugate and negative bits must be resolved already.
kernels::Tensor to_kernel(const at::Tensor& tensor);

// As to_kernel, undefined (data == nullptr) for an undefined or absent tensor.
kernels::Tensor to_kernel(const std::optional<at::Tensor>& tensor);

// Throws NotImplementedError for a complex scalar.
kernels::Scalar to_kernel(const c10::Scalar& scalar);

inline bool is_npu(const at::Tensor& tensor) { return tensor.device().is_privateuseone(); }

}  // namespace npu::backend

// New tensors on the device.
#pragma once

#include <ATen/core/Tensor.h>

namespace npu::backend {

// Uninitialised memory, as at::empty() would make, without the dispatcher's cost.
at::Tensor empty(at::IntArrayRef size, c10::ScalarType dtype, c10::Device device);
at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, c10::ScalarType dtype,
                         c10::Device device);

// A resizable storage.
c10::Storage make_storage(size_t bytes, c10::Device device);

// Where deterministic algorithms are asked for, fills what a resize from `bytes_before` has added.
void fill_grown_deterministically(const at::Tensor& tensor, size_t bytes_before);

}  // namespace npu::backend

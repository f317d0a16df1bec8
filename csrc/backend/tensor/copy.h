// Copies between tensors in every direction, dtype and stride.
#pragma once

#include <ATen/core/Tensor.h>

namespace npu::backend {

// dst = src, broadcast to dst's sizes, with dtype conversion; at least one of them on the device.
// `non_blocking` lets a copy from or to pinned memory run behind the caller's back.
void copy_tensor(const at::Tensor& dst, const at::Tensor& src, bool non_blocking = false);

}  // namespace npu::backend

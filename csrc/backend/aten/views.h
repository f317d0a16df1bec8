// Small helpers of ops that hand whole tensors to the kernel library.
#pragma once

#include <ATen/core/Tensor.h>

#include "csrc/backend/runtime/stream.h"

namespace npu::backend {

// PyTorch lets 0-dimensional tensors stand for vectors of one element.
inline at::Tensor as_vector(const at::Tensor& tensor) {
  return tensor.dim() == 0 ? tensor.unsqueeze(0) : tensor;
}

inline npuStream stream_of(const at::TensorBase& tensor) {
  return current_stream(tensor.device().index());
}

}  // namespace npu::backend

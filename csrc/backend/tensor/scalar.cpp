// Single values read by the host, and streams that a tensor is used on.
#include <ATen/DeviceGuard.h>
#include <ATen/Dispatch_v2.h>
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include "csrc/backend/runtime/allocator.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"

namespace npu::backend {
namespace {

constexpr size_t kWidestElement = 16;

at::Scalar local_scalar_dense(const at::Tensor& self) {
  TORCH_CHECK(self.numel() == 1, "a tensor with ", self.numel(), " elements is not a scalar");
  const c10::DeviceGuard guard(self.device());
  alignas(kWidestElement) std::byte value[kWidestElement];
  NPU_CHECK(npuMemcpyAsync(value, self.data_ptr(), self.itemsize(), NPU_DEVICE_TO_HOST,
                           current_stream(self.device().index())));
  return AT_DISPATCH_V2(
      self.scalar_type(), "_local_scalar_dense",
      AT_WRAP([&] { return at::Scalar(*reinterpret_cast<const scalar_t*>(value)); }),
      AT_EXPAND(AT_ALL_TYPES_AND_COMPLEX), at::kComplexHalf, at::kHalf, at::kBFloat16, at::kBool,
      AT_EXPAND(AT_FLOAT8_TYPES), AT_EXPAND(AT_BAREBONES_UNSIGNED_TYPES));
}

void record_stream_op(at::Tensor& self, at::Stream stream) {
  record_stream(self.storage().data_ptr(), stream);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("_local_scalar_dense", local_scalar_dense);
  library.impl("record_stream", record_stream_op);
}

}  // namespace
}  // namespace npu::backend

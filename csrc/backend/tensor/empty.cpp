#include "csrc/backend/tensor/empty.h"

#include <ATen/Context.h>
#include <ATen/DeviceGuard.h>
#include <ATen/EmptyTensor.h>
#include <ATen/native/Resize.h>
#include <ATen/native/TensorFactories.h>
#include <torch/library.h>

#include "csrc/backend/runtime/allocator.h"
#include "csrc/backend/runtime/device.h"

namespace npu::backend {
namespace {

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

bool fills_uninitialized_memory() {
  const auto& context = at::globalContext();
  return context.deterministicAlgorithms() && context.deterministicFillUninitializedMemory();
}

at::Tensor filled(at::Tensor tensor) {
  if (C10_UNLIKELY(fills_uninitialized_memory())) at::native::fill_empty_deterministic_(tensor);
  return tensor;
}

c10::Device check_options(std::optional<at::Layout> layout, std::optional<at::Device> device,
                          std::optional<bool> pin_memory) {
  TORCH_CHECK(c10::layout_or_default(layout) == at::kStrided, "the npu has no tensors of layout ",
              c10::layout_or_default(layout));
  TORCH_CHECK(!pin_memory.value_or(false), "only CPU tensors can be pinned");
  const c10::DeviceIndex index = device_or_current(device ? device->index() : -1);
  check_device_index(index);
  return {c10::kPrivateUse1, index};
}

at::Tensor empty_memory_format(at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                               std::optional<at::Layout> layout, std::optional<at::Device> device,
                               std::optional<bool> pin_memory,
                               std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(check_options(layout, device, pin_memory));
  return filled(at::detail::empty_generic(size, device_allocator(), kKeys,
                                          c10::dtype_or_default(dtype), format));
}

at::Tensor empty_strided_op(at::IntArrayRef size, at::IntArrayRef stride,
                            std::optional<at::ScalarType> dtype, std::optional<at::Layout> layout,
                            std::optional<at::Device> device, std::optional<bool> pin_memory) {
  return empty_strided(size, stride, c10::dtype_or_default(dtype),
                       check_options(layout, device, pin_memory));
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty_memory_format);
  library.impl("empty_strided", empty_strided_op);
}

}  // namespace

at::Tensor empty(at::IntArrayRef size, c10::ScalarType dtype, c10::Device device) {
  const c10::DeviceGuard guard(device);
  return filled(at::detail::empty_generic(size, device_allocator(), kKeys, dtype, std::nullopt));
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, c10::ScalarType dtype,
                         c10::Device device) {
  const c10::DeviceGuard guard(device);
  return filled(at::detail::empty_strided_generic(size, stride, device_allocator(), kKeys, dtype));
}

c10::Storage make_storage(size_t bytes, c10::Device device) {
  const c10::DeviceGuard guard(device);
  return c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes,
                                               device_allocator()->allocate(bytes),
                                               device_allocator(), /*resizable=*/true);
}

void fill_grown_deterministically(const at::Tensor& tensor, size_t bytes_before) {
  if (C10_UNLIKELY(fills_uninitialized_memory())) {
    at::native::fill_resize_deterministic_(tensor, static_cast<int64_t>(bytes_before));
  }
}

}  // namespace npu::backend

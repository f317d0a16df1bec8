// resize_ and set_: other sizes, strides and storages for a tensor that exists.
#include "csrc/backend/tensor/resize.h"

#include <ATen/DeviceGuard.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/set_native.h>
#include <torch/library.h>

#include <algorithm>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/tensor/empty.h"

namespace npu::backend {

void resize_storage(c10::StorageImpl* storage, size_t bytes) {
  TORCH_CHECK(storage->resizable(), "this storage cannot be resized");
  const c10::DeviceGuard guard(storage->device());
  c10::DataPtr memory = storage->allocator()->allocate(bytes);
  const size_t kept = std::min(bytes, storage->nbytes());
  if (kept > 0) {
    NPU_CHECK(npuMemcpyAsync(memory.get(), storage->data(), kept, NPU_DEVICE_TO_DEVICE,
                             current_stream()));
  }
  storage->set_data_ptr_noswap(std::move(memory));
  storage->set_nbytes(bytes);
}

namespace {

// Gives `impl` sizes and strides (contiguous ones if none) and a storage that reaches that far.
void set_geometry(c10::TensorImpl* impl, at::IntArrayRef size, at::OptionalIntArrayRef stride) {
  if (impl->sizes() == size && (!stride || impl->strides() == *stride)) return;
  const size_t item = impl->itemsize();
  const auto offset = static_cast<size_t>(impl->storage_offset());
  size_t bytes = 0;
  if (stride) {
    impl->set_sizes_and_strides(size, *stride);
    bytes = at::detail::computeStorageNbytes(size, *stride, item, offset);
  } else {
    impl->set_sizes_contiguous(size);
    bytes = at::detail::computeStorageNbytesContiguous(size, item, offset);
  }
  c10::StorageImpl* const storage = impl->unsafe_storage().unsafeGetStorageImpl();
  if (impl->numel() > 0 && bytes > storage->nbytes()) resize_storage(storage, bytes);
}

const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef size,
                          std::optional<at::MemoryFormat> format) {
  const size_t bytes_before = self.storage().nbytes();
  at::detail::check_size_nonnegative(size);
  set_geometry(self.unsafeGetTensorImpl(), size, std::nullopt);
  if (format) {
    TORCH_CHECK(*format != at::MemoryFormat::Preserve, "Unsupported memory format ", *format);
    self.unsafeGetTensorImpl()->empty_tensor_restride(*format);
  }
  fill_grown_deterministically(self, bytes_before);
  return self;
}

at::Tensor& set_storage_offset(at::Tensor& self, at::Storage storage, int64_t offset,
                               at::IntArrayRef size, at::IntArrayRef stride) {
  at::native::checkSetStorage(self, std::move(storage), offset, size, stride);
  self.unsafeGetTensorImpl()->set_storage_offset(offset);
  const at::OptionalIntArrayRef strides =
      stride.data() == nullptr ? at::OptionalIntArrayRef() : at::OptionalIntArrayRef(stride);
  set_geometry(self.unsafeGetTensorImpl(), size, strides);
  return self;
}

at::Tensor& set_storage(at::Tensor& self, at::Storage storage) {
  return at::native::set_(self, std::move(storage));
}

at::Tensor& set_tensor(at::Tensor& self, const at::Tensor& source) {
  return at::native::set_tensor_(self, source);
}

at::Tensor& set_empty(at::Tensor& self) {
  return set_storage_offset(self, make_storage(0, self.device()), 0, {0}, {});
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("resize_", resize_);
  library.impl("set_", set_empty);
  library.impl("set_.source_Tensor", set_tensor);
  library.impl("set_.source_Storage", set_storage);
  library.impl("set_.source_Storage_storage_offset", set_storage_offset);
}

}  // namespace
}  // namespace npu::backend

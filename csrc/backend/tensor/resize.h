// Storages that grow and shrink.
#pragma once

#include <c10/core/StorageImpl.h>

namespace npu::backend {

// Gives `storage` new memory of `bytes` on its device, with as much of its contents as fits.
void resize_storage(c10::StorageImpl* storage, size_t bytes);

}  // namespace npu::backend

// The caching allocator of device memory (PyTorch's c10::DeviceAllocator).
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>

namespace npu::backend {

c10::Allocator* device_allocator();

// The memory is not reused before the work that `stream` has been given by the time of its release
// is done. Does nothing for memory that the allocator did not give.
void record_stream(const c10::DataPtr& pointer, c10::Stream stream);

// After npuDeviceReset(): all memory of the device is gone. Tensors that still hold some release it
// without effect.
void forget_device_memory(c10::DeviceIndex device);

}  // namespace npu::backend

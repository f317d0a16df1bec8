// PyTorch's streams on the SDK's. Stream 0 of a device is its default stream; kPoolStreams others
// are handed out in turn, as on other accelerators. Streams live until the process ends.
#pragma once

#include <c10/core/Stream.h>

#include "npu/npu.h"

namespace npu::backend {

inline constexpr int kPoolStreams = 32;

// The calling thread's current stream of `device` (negative: of the current device), where kernels
// and copies are enqueued.
npuStream current_stream(c10::DeviceIndex device = -1);

c10::Stream current_torch_stream(c10::DeviceIndex device = -1);
c10::Stream default_torch_stream(c10::DeviceIndex device = -1);
// The next of the pool. All streams have the same priority; a lower number is accepted.
c10::Stream pool_torch_stream(c10::DeviceIndex device = -1);
// Makes `stream` its device's current one and returns the previous one.
c10::Stream exchange_torch_stream(c10::Stream stream);

// Throws for a stream of another device type or one that was never handed out.
npuStream native_stream(c10::Stream stream);

}  // namespace npu::backend

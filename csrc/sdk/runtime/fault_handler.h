// Reports host code that touches device memory.
#pragma once

#include "csrc/sdk/runtime/memory.h"

namespace npu::sdk {

// From now on a fault inside the device's addresses is reported on standard error, naming device,
// address and allocation, before the signal takes its course. The memory must live as long as the
// process.
void report_faults(int device, const DeviceMemory& memory);

}  // namespace npu::sdk

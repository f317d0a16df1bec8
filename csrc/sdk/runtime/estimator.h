// Estimators: devices that npuEstimatorOpen() made, beside the process's own.
#pragma once

#include "csrc/sdk/runtime/device.h"

namespace npu::sdk {

// Null if no estimator has this number.
Device* find_estimator(int index);
// The one whose addresses cover the pointer; null if none.
Device* estimator_owning(const void* pointer);

}  // namespace npu::sdk

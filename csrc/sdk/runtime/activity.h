// What profilers subscribe to.
#pragma once

#include "npu/npu.h"

namespace npu::sdk {

// Cheap: whether report_activity() would reach anybody.
bool has_activity_subscriber();
void report_activity(const npuActivity& activity);

}  // namespace npu::sdk

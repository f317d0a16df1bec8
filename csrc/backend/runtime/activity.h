// Records of what devices did: launches and copies with their simulated times.
#pragma once

#include <string>
#include <vector>

#include "npu/npu.h"

namespace npu::backend {

struct ActivityRecord {
  std::string name;
  std::string bound_by;
  npuActivity activity;  // its strings are those above
};

// Collects what all devices finish from now on. Throws if a recording is under way.
void start_recording();
// Waits for all work and returns it in the order in which each device did it.
std::vector<ActivityRecord> stop_recording();

}  // namespace npu::backend

#include "csrc/backend/runtime/activity.h"

#include <c10/util/Exception.h>

#include <mutex>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"

namespace npu::backend {
namespace {

struct Recording {
  std::mutex mutex;
  bool active = false;
  std::vector<ActivityRecord> records;
};

Recording& recording() {
  static auto* const instance = new Recording;
  return *instance;
}

void record(const npuActivity* activity, void*) {
  const std::scoped_lock lock(recording().mutex);
  recording().records.push_back(
      {activity->name, activity->bound_by == nullptr ? "" : activity->bound_by, *activity});
}

void synchronize_all() {
  for (c10::DeviceIndex i = 0; i < device_count(); ++i) synchronize_device(i);
}

}  // namespace

void start_recording() {
  synchronize_all();
  {
    const std::scoped_lock lock(recording().mutex);
    TORCH_CHECK(!recording().active, "a recording of device activity is under way");
    recording().active = true;
    recording().records.clear();
  }
  NPU_CHECK(npuSetActivityCallback(record, nullptr));
}

std::vector<ActivityRecord> stop_recording() {
  // Ends also where a device fails: its error comes after the callback is gone.
  const auto finish = [] {
    npuSetActivityCallback(nullptr, nullptr);
    const std::scoped_lock lock(recording().mutex);
    recording().active = false;
    return std::move(recording().records);
  };
  try {
    synchronize_all();
  } catch (...) {
    finish();
    throw;
  }
  std::vector<ActivityRecord> records = finish();
  for (ActivityRecord& record : records) {
    record.activity.name = record.name.c_str();
    record.activity.bound_by = record.bound_by.c_str();
  }
  return records;
}

}  // namespace npu::backend

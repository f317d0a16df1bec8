#include <pybind11/stl.h>

#include "csrc/backend/fallback/fallback.h"
#include "csrc/backend/python/bindings.h"
#include "csrc/backend/runtime/activity.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"
#include "csrc/backend/runtime/launch.h"

namespace npu::backend {
namespace {

namespace py = pybind11;
using NoGil = py::call_guard<py::gil_scoped_release>;

constexpr std::pair<const char*, uint64_t npuCounters::*> kCounters[] = {
    {"launches", &npuCounters::launches},
    {"scalar_instructions", &npuCounters::scalar_instructions},
    {"vector_instructions", &npuCounters::vector_instructions},
    {"matrix_instructions", &npuCounters::matrix_instructions},
    {"dma_instructions", &npuCounters::dma_instructions},
    {"dma_read_bytes", &npuCounters::dma_read_bytes},
    {"dma_write_bytes", &npuCounters::dma_write_bytes},
    {"macs", &npuCounters::macs},
    {"padded_macs", &npuCounters::padded_macs},
    {"host_to_device_bytes", &npuCounters::host_to_device_bytes},
    {"device_to_host_bytes", &npuCounters::device_to_host_bytes},
};

py::dict to_dict(const npuCounters& counters) {
  py::dict result;
  for (const auto& [name, member] : kCounters) result[name] = counters.*member;
  return result;
}

py::dict counters(c10::DeviceIndex device) {
  check_device_index(device);
  npuCounters values{};
  {
    const py::gil_scoped_release release;
    NPU_CHECK(npuGetCounters(device, &values));
  }
  return to_dict(values);
}

void reset_counters(c10::DeviceIndex device) {
  check_device_index(device);
  NPU_CHECK(npuResetCounters(device));
}

double simulated_time_ns(c10::DeviceIndex device) {
  check_device_index(device);
  double nanoseconds = 0;
  NPU_CHECK(npuGetSimulatedTime(device, &nanoseconds));
  return nanoseconds;
}

py::dict to_dict(const ActivityRecord& record) {
  const npuActivity& a = record.activity;
  py::dict result;
  result["name"] = record.name;
  result["device"] = a.device;
  result["stream"] = a.stream;
  result["sequence"] = a.sequence;
  result["enqueue_ns"] = a.enqueue_ns;
  result["start_ns"] = a.start_ns;
  result["duration_ns"] = a.duration_ns;
  result["cycles"] = a.cycles;
  result["grid"] = a.grid;
  result["bound_by"] = record.bound_by;
  result["hbm_utilization"] = a.hbm_utilization;
  result["matrix_utilization"] = a.matrix_utilization;
  result["counters"] = to_dict(a.counters);
  return result;
}

py::list stop() {
  std::vector<ActivityRecord> records;
  {
    const py::gil_scoped_release release;
    records = stop_recording();
  }
  py::list result;
  for (const ActivityRecord& record : records) result.append(to_dict(record));
  return result;
}

}  // namespace

void bind_execution(py::module_& module) {
  module.def("launch", launch, NoGil());
  module.def("counters", counters);
  module.def("reset_counters", reset_counters, NoGil());
  module.def("simulated_time_ns", simulated_time_ns, NoGil());
  module.def("start_recording", start_recording, NoGil());
  module.def("stop_recording", stop);
  module.def("fallback_stats", fallback_stats);
  module.def("reset_fallback_stats", reset_fallback_stats);
}

}  // namespace npu::backend

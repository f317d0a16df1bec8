#include "csrc/backend/runtime/device.h"

#include "csrc/backend/python/bindings.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/generator.h"
#include "csrc/backend/runtime/stream.h"

namespace npu::backend {
namespace {

namespace py = pybind11;
using NoGil = py::call_guard<py::gil_scoped_release>;

// The id alone: Python makes its own stream objects of it.
int64_t id_of(const c10::Stream& stream) { return stream.id(); }

py::dict device_properties(c10::DeviceIndex device) {
  check_device_index(device);
  npuDeviceProperties p{};
  NPU_CHECK(npuGetDeviceProperties(device, &p));
  py::dict result;
  result["name"] = static_cast<const char*>(p.name);
  result["clock_ghz"] = p.clock_ghz;
  result["core_count"] = p.core_count;
  result["scratchpad_bytes"] = p.scratchpad_bytes;
  result["matrix_rows"] = p.matrix_rows;
  result["matrix_cols"] = p.matrix_cols;
  result["vector_lanes"] = p.vector_lanes;
  result["special_lanes"] = p.special_lanes;
  result["total_memory"] = p.total_memory;
  result["hbm_bandwidth_gbps"] = p.hbm_bandwidth_gbps;
  result["hbm_stream_efficiency"] = p.hbm_stream_efficiency;
  result["launch_ns"] = p.launch_ns;
  result["peak_macs_per_second"] = p.peak_macs_per_second;
  return result;
}

// Throws the sticky error of a device that has one.
void check_device(c10::DeviceIndex device) {
  check_device_index(device);
  NPU_CHECK(npuDeviceGetStatus(device));
}

}  // namespace

void bind_device(py::module_& module) {
  module.def("init", ensure_initialized);
  module.def("is_initialized", is_initialized);
  module.def("in_bad_fork", in_bad_fork);
  module.def("device_count", device_count);
  module.def("current_device", current_device);
  module.def("set_device", set_current_device);
  module.def("exchange_device", exchange_current_device);
  module.def("check_device", check_device);
  module.def("device_properties", device_properties);
  module.def("synchronize", synchronize_device, NoGil());
  module.def("reset_device", reset_device, NoGil());

  module.def("current_stream",
             [](c10::DeviceIndex device) { return id_of(current_torch_stream(device)); });
  module.def("set_stream", [](const c10::Stream& stream) { exchange_torch_stream(stream); });

  module.def("default_generator", default_generator);
}

}  // namespace npu::backend

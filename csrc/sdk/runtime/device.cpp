#include "csrc/sdk/runtime/device.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "csrc/sdk/runtime/counters.h"
#include "csrc/sdk/runtime/status.h"
#include "csrc/sdk/runtime/worker.h"

namespace npu::sdk {
namespace {

int64_t capacity(const Environment& environment, const sim::Machine& machine) {
  return std::min(machine.capacity_bytes(),
                  environment.hbm_limit.value_or(std::numeric_limits<int64_t>::max()));
}

}  // namespace

Device::Device(int index, const Environment& environment, const sim::Machine& machine)
    : index_(index),
      environment_(environment),
      machine_(machine),
      launch_cost_(from_ns(machine.host.launch_ns)),
      memory_(index, capacity(environment, machine), machine.hbm.row_bytes),
      workspaces_(memory_),
      default_stream_(create_stream(*this)) {}

Device::Device(int index, const Environment& environment, const sim::Machine& machine,
               const Observer& observer)
    : Device(index, environment, machine) {
  caller_ = std::make_unique<Worker>(*this);
  observer_ = observer;
  memory_.forget_data();
}

Device::~Device() { destroy_streams(*this); }

void Device::start_worker() {
  worker_ = std::thread([this] { Worker(*this).run(); });
}

void Device::work_until(uint64_t ticket) {
  const std::lock_guard lock(caller_mutex_);
  while (!queue_.done(ticket)) caller_->step();
}

void Device::ask_to_stop() {
  stopping_.store(true);
  queue_.push([](Command& command) { command.kind = CommandKind::stop; });
}

void Device::join() {
  if (worker_.joinable()) worker_.join();
}

npuStatus Device::fail_sticky() const {
  std::lock_guard lock(error_mutex_);
  return fail(status(), error_);
}

void Device::require_usable() const {
  if (status() == NPU_SUCCESS) return;
  std::lock_guard lock(error_mutex_);
  throw StatusError(status(), error_);
}

void Device::set_error(npuStatus status, const std::string& message) {
  std::lock_guard lock(error_mutex_);
  error_ = fmt::format("device {}: {}", index_, message);
  status_.store(status, std::memory_order_release);
}

void Device::reset() {
  std::lock_guard lock(reset_mutex_);
  dropping_.store(true);
  drain();
  workspaces_.forget();
  memory_.reset();
  reset_counters();
  meet(synchronized_, std::max(latest.load(), latest_host_.load()));
  latest.store(host_clock());
  origin.store(host_clock());
  {
    std::lock_guard error_lock(error_mutex_);
    error_.clear();
    status_.store(NPU_SUCCESS, std::memory_order_release);
  }
  dropping_.store(false);
}

DeviceMemory::Region Device::region_of(const void* pointer, const char* what) {
  if (const auto region = memory_.owns(pointer) ? memory_.find(pointer) : std::nullopt) {
    return *region;
  }
  if (!memory_.owns(pointer)) {
    const Device* owner = owner_of(pointer);
    throw StatusError(
        NPU_ERROR_INVALID_VALUE,
        owner == nullptr
            ? fmt::format("{}: {} is not an address of device {}", what, pointer, index_)
            : fmt::format("{}: {} is an address of device {}, the stream belongs to device {}",
                          what, pointer, owner->index(), index_));
  }
  if (memory_.is_stale(pointer)) {
    throw StatusError(NPU_ERROR_STALE, fmt::format("{}: {} is from before the reset of device {}",
                                                   what, pointer, index_));
  }
  throw StatusError(NPU_ERROR_INVALID_VALUE, fmt::format("{}: {} lies in no allocation; {}", what,
                                                         pointer, memory_.nearest(pointer)));
}

std::byte* Device::machine_range(const void* pointer, size_t bytes, const char* what) {
  const DeviceMemory::Region region = region_of(pointer, what);
  const int64_t inside = static_cast<const std::byte*>(pointer) - region.base;
  if (bytes > static_cast<size_t>(region.size - inside)) {
    throw StatusError(
        NPU_ERROR_INVALID_VALUE,
        fmt::format("{}: {} bytes from {} reach beyond the allocation {} of {} bytes", what, bytes,
                    pointer, static_cast<const void*>(region.base), region.size));
  }
  return region.machine + inside;
}

void Device::count(const npuCounters& counters) {
  std::lock_guard lock(counters_mutex_);
  counters_ = sum(counters_, counters);
}

npuCounters Device::counters() const {
  std::lock_guard lock(counters_mutex_);
  return counters_;
}

void Device::reset_counters() {
  std::lock_guard lock(counters_mutex_);
  counters_ = {};
}

}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuGetDeviceCount(int* count) {
  return guarded([&] {
    if (count == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuGetDeviceCount: count is NULL");
    *count = device_count();
    return NPU_SUCCESS;
  });
}

npuStatus npuGetDeviceProperties(int index, npuDeviceProperties* properties) {
  return guarded([&] {
    if (properties == nullptr) {
      return fail(NPU_ERROR_INVALID_VALUE, "npuGetDeviceProperties: properties is NULL");
    }
    Device& device = device_at(index);
    const npu::sim::Machine& machine = device.machine();
    *properties = {};
    std::strncpy(properties->name, machine.name.c_str(), sizeof(properties->name) - 1);
    properties->clock_ghz = machine.clock_ghz;
    properties->core_count = machine.core.count;
    properties->scratchpad_bytes = machine.scratchpad_bytes();
    properties->matrix_rows = machine.matrix.rows;
    properties->matrix_cols = machine.matrix.cols;
    properties->vector_lanes = machine.vector.lanes;
    properties->special_lanes = machine.vector.special_lanes;
    properties->total_memory = device.memory().info().total;
    properties->hbm_bandwidth_gbps = machine.hbm.bandwidth_gbps;
    properties->hbm_stream_efficiency = machine.hbm_stream_efficiency();
    properties->launch_ns = machine.host.launch_ns;
    properties->peak_macs_per_second = machine.clock_ghz * 1e9 * machine.core.count *
                                       machine.matrix.rows * machine.matrix.cols *
                                       machine.matrix_rate(npu::sim::DType::bf16);
    return NPU_SUCCESS;
  });
}

npuStatus npuDeviceSynchronize(int index) {
  return guarded([&] {
    Device& device = usable_device(index);
    device.synchronize();
    return device.check();
  });
}

npuStatus npuDeviceReset(int index) {
  return guarded([&] {
    device_at(index).reset();
    return NPU_SUCCESS;
  });
}

npuStatus npuDeviceGetStatus(int index) {
  return guarded([&] { return device_at(index).check(); });
}

npuStatus npuGetCounters(int index, npuCounters* counters) {
  return guarded([&] {
    if (counters == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuGetCounters: NULL");
    Device& device = usable_device(index);
    device.drain();
    *counters = device.counters();
    return device.check();
  });
}

npuStatus npuResetCounters(int index) {
  return guarded([&] {
    Device& device = usable_device(index);
    device.drain();
    device.reset_counters();
    return device.check();
  });
}

npuStatus npuGetSimulatedTime(int index, double* nanoseconds) {
  return guarded([&] {
    if (nanoseconds == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuGetSimulatedTime: NULL");
    Device& device = usable_device(index);
    device.synchronize();
    *nanoseconds = to_ns(host_clock() - device.origin.load());
    return device.check();
  });
}

}  // extern "C"

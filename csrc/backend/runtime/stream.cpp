#include "csrc/backend/runtime/stream.h"

#include <c10/util/Exception.h>

#include <array>
#include <atomic>
#include <mutex>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"

namespace npu::backend {
namespace {

constexpr int kStreams = 1 + kPoolStreams;

// Stream ids are positions in `handles`; streams come to life when first used.
struct DeviceStreams {
  std::array<std::atomic<npuStream>, kStreams> handles = {};
  std::atomic<uint32_t> next = 0;
  std::mutex creation;
};

DeviceStreams& streams_of(c10::DeviceIndex device) {
  static auto* const streams = new std::array<DeviceStreams, kMaxDevices>;
  return (*streams)[device];
}

thread_local std::array<uint8_t, kMaxDevices> current_ids = {};

npuStream create_stream(c10::DeviceIndex device, int id) {
  check_device_index(device);
  DeviceStreams& streams = streams_of(device);
  const std::scoped_lock lock(streams.creation);
  npuStream handle = streams.handles[id].load();
  if (handle != nullptr) return handle;
  NPU_CHECK(id == 0 ? npuDeviceGetDefaultStream(device, &handle)
                    : npuStreamCreate(device, &handle));
  streams.handles[id].store(handle);
  return handle;
}

npuStream handle_of(c10::DeviceIndex device, int id) {
  const npuStream handle = streams_of(device).handles[id].load(std::memory_order_acquire);
  return C10_LIKELY(handle != nullptr) ? handle : create_stream(device, id);
}

c10::Stream torch_stream(c10::DeviceIndex device, c10::StreamId id) {
  return c10::Stream(c10::Stream::UNSAFE, c10::Device(c10::kPrivateUse1, device), id);
}

c10::DeviceIndex checked(c10::DeviceIndex device) {
  device = device_or_current(device);
  check_device_index(device);
  return device;
}

void check_stream(c10::Stream stream) {
  TORCH_CHECK(stream.device_type() == c10::kPrivateUse1, "expected a stream of the npu, got ",
              stream);
  TORCH_CHECK(stream.id() >= 0 && stream.id() < kStreams, "no such stream: ", stream);
  check_device_index(stream.device_index());
}

}  // namespace

npuStream current_stream(c10::DeviceIndex device) {
  ensure_initialized();
  device = device_or_current(device);
  return handle_of(device, current_ids[device]);
}

c10::Stream current_torch_stream(c10::DeviceIndex device) {
  device = checked(device);
  return torch_stream(device, current_ids[device]);
}

c10::Stream default_torch_stream(c10::DeviceIndex device) {
  return torch_stream(checked(device), 0);
}

c10::Stream pool_torch_stream(c10::DeviceIndex device) {
  device = checked(device);
  return torch_stream(device, 1 + streams_of(device).next++ % kPoolStreams);
}

c10::Stream exchange_torch_stream(c10::Stream stream) {
  check_stream(stream);
  const c10::DeviceIndex device = stream.device_index();
  const c10::Stream previous = torch_stream(device, current_ids[device]);
  current_ids[device] = static_cast<uint8_t>(stream.id());
  return previous;
}

npuStream native_stream(c10::Stream stream) {
  check_stream(stream);
  return handle_of(stream.device_index(), static_cast<int>(stream.id()));
}

}  // namespace npu::backend

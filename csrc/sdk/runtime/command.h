// What the host asks of a device's worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "csrc/sdk/runtime/clock.h"
#include "npu/npu.h"
#include "sim/exec/launch.h"

namespace npu::sdk {

class Device;

// One recording of an event. Shared by the event, the command that records it and those that wait.
struct EventRecord {
  Device* device = nullptr;  // null on an estimator, where it is done at once
  uint64_t ticket = 0;       // of the recording command
  Picoseconds time = 0;      // valid once the command is done
};

enum class CommandKind : uint8_t {
  launch,
  fill,  // a launch of the fill program whose bytes the worker writes itself
  copy,  // host memory or a peer on one side
  callback,
  record,
  wait,
  stop,  // ends the worker
};

// Lives in a slot of the queue and is used again, so that its vectors keep their memory. Only the
// fields of its kind count.
struct Command {
  CommandKind kind = CommandKind::stop;
  npuMemcpyKind direction = NPU_HOST_TO_DEVICE;
  npuStream stream = nullptr;
  uint64_t ticket = 0;
  Picoseconds enqueued = 0;  // the host's clock

  sim::Launch launch;  // launch, fill

  // copy; fill has dst, bytes and value
  std::byte* dst = nullptr;
  const std::byte* src = nullptr;
  int64_t bytes = 0;
  std::byte value = {};
  std::unique_ptr<std::byte[]> staged;  // a copy of the source
  Device* peer = nullptr;               // the other device of a device-to-device copy
  bool outward = false;                 // which reads from this device

  std::shared_ptr<EventRecord> event;  // record, wait

  void (*function)(void*) = nullptr;  // callback
  void* user = nullptr;
};

}  // namespace npu::sdk

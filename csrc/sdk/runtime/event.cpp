#include "csrc/sdk/runtime/event.h"

#include <optional>
#include <utility>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

HandlePool<npuEvent_st>& pool() {
  static auto* events = new HandlePool<npuEvent_st>;
  return *events;
}

std::shared_ptr<EventRecord> exchange_record(npuEvent_st& event,
                                             std::shared_ptr<EventRecord> record) {
  std::lock_guard lock(event.mutex);
  return std::exchange(event.record, std::move(record));
}

// The time of a record that is done; nothing while it is pending.
std::optional<Picoseconds> finished_time(const EventRecord& record) {
  if (record.device == nullptr) return record.time;
  record.device->require_usable();
  if (!record.device->queue().done(record.ticket)) return std::nullopt;
  return record.time;
}

}  // namespace

std::shared_ptr<EventRecord> last_record(npuEvent handle) {
  require_process();
  npuEvent_st& event = checked(handle, "event");
  std::lock_guard lock(event.mutex);
  return event.record;
}

}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuEventCreate(npuEvent* event) {
  return guarded([&] {
    if (event == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuEventCreate: event is NULL");
    *event = pool().create();
    exchange_record(**event, nullptr);
    return NPU_SUCCESS;
  });
}

npuStatus npuEventDestroy(npuEvent event) {
  return guarded([&] {
    exchange_record(checked(event, "event"), nullptr);
    pool().destroy(event);
    return NPU_SUCCESS;
  });
}

npuStatus npuEventRecord(npuEvent handle, npuStream stream_handle) {
  return guarded([&] {
    npuStream_st& stream = usable_stream(stream_handle);
    npuEvent_st& event = checked(handle, "event");
    auto record = std::make_shared<EventRecord>();
    record->device = stream.device->is_estimator() ? nullptr : stream.device;
    return stream.device->enqueue(stream, CommandKind::record, [&](Command& command) {
      record->ticket = command.ticket;
      command.event = record;
      exchange_record(event, std::move(record));
    });
  });
}

npuStatus npuEventQuery(npuEvent event) {
  return guarded([&] {
    const auto record = last_record(event);
    if (record == nullptr) return NPU_SUCCESS;
    if (!finished_time(*record)) return NPU_ERROR_NOT_READY;
    return record->device == nullptr ? NPU_SUCCESS : record->device->check();
  });
}

npuStatus npuEventSynchronize(npuEvent event) {
  return guarded([&] {
    const auto record = last_record(event);
    if (record == nullptr) return NPU_SUCCESS;
    Device* device = record->device;
    if (device != nullptr) {
      device->require_usable();
      device->queue().wait(record->ticket);
    }
    advance_host_clock(record->time);
    return device == nullptr ? NPU_SUCCESS : device->check();
  });
}

npuStatus npuEventElapsedTime(npuEvent start, npuEvent end, double* nanoseconds) {
  return guarded([&] {
    if (nanoseconds == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuEventElapsedTime: NULL");
    const auto first = last_record(start);
    const auto last = last_record(end);
    if (first == nullptr || last == nullptr) {
      return failf(NPU_ERROR_INVALID_VALUE, "npuEventElapsedTime: the {} event was never recorded",
                   first == nullptr ? "start" : "end");
    }
    const auto begin_time = finished_time(*first);
    const auto end_time = finished_time(*last);
    if (!begin_time || !end_time) {
      return failf(NPU_ERROR_NOT_READY, "npuEventElapsedTime: the {} event is still pending",
                   begin_time ? "end" : "start");
    }
    *nanoseconds = to_ns(*end_time - *begin_time);
    return NPU_SUCCESS;
  });
}

}  // extern "C"

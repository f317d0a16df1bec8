#include "csrc/sdk/runtime/stream.h"

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/event.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

HandlePool<npuStream_st>& pool() {
  static auto* streams = new HandlePool<npuStream_st>;
  return *streams;
}

}  // namespace

npuStream_st* create_stream(Device& device) {
  npuStream_st* stream = pool().create();
  stream->device = &device;
  stream->number = device.next_stream_number();
  stream->last_ticket.store(0);
  stream->clock.store(0);
  stream->host_clock.store(0);
  return stream;
}

void destroy_streams(const Device& device) {
  pool().destroy_if([&](const npuStream_st& stream) { return stream.device == &device; });
}

npuStream_st& live_stream(npuStream stream) {
  require_process();
  return checked(stream, "stream");
}

npuStream_st& usable_stream(npuStream stream) {
  npuStream_st& live = live_stream(stream);
  live.device->require_usable();
  return live;
}

}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuDeviceGetDefaultStream(int device, npuStream* stream) {
  return guarded([&] {
    if (stream == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuDeviceGetDefaultStream: NULL");
    *stream = &device_at(device).default_stream();
    return NPU_SUCCESS;
  });
}

npuStatus npuStreamCreate(int device, npuStream* stream) {
  return guarded([&] {
    if (stream == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuStreamCreate: stream is NULL");
    *stream = create_stream(usable_device(device));
    return NPU_SUCCESS;
  });
}

npuStatus npuStreamDestroy(npuStream handle) {
  return guarded([&] {
    npuStream_st& stream = live_stream(handle);
    if (&stream == &stream.device->default_stream()) {
      return fail(NPU_ERROR_INVALID_VALUE, "a default stream cannot be destroyed");
    }
    stream.device->synchronize(stream);
    pool().destroy(&stream);
    return NPU_SUCCESS;
  });
}

npuStatus npuStreamGetDevice(npuStream stream, int* device) {
  return guarded([&] {
    if (device == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuStreamGetDevice: NULL");
    *device = live_stream(stream).device->index();
    return NPU_SUCCESS;
  });
}

npuStatus npuStreamQuery(npuStream handle) {
  return guarded([&] {
    npuStream_st& stream = usable_stream(handle);
    if (!stream.device->queue().done(stream.last_ticket.load())) return NPU_ERROR_NOT_READY;
    return stream.device->check();
  });
}

npuStatus npuStreamSynchronize(npuStream handle) {
  return guarded([&] {
    npuStream_st& stream = usable_stream(handle);
    stream.device->synchronize(stream);
    return stream.device->check();
  });
}

npuStatus npuStreamWaitEvent(npuStream handle, npuEvent event) {
  return guarded([&] {
    npuStream_st& stream = usable_stream(handle);
    auto record = last_record(event);
    if (record == nullptr) return NPU_SUCCESS;
    return stream.device->enqueue(stream, CommandKind::wait,
                                  [&](Command& command) { command.event = std::move(record); });
  });
}

npuStatus npuStreamAddCallback(npuStream handle, void (*function)(void*), void* user) {
  return guarded([&] {
    if (function == nullptr) {
      return fail(NPU_ERROR_INVALID_VALUE, "npuStreamAddCallback: function is NULL");
    }
    npuStream_st& stream = usable_stream(handle);
    return stream.device->enqueue(stream, CommandKind::callback, [&](Command& command) {
      command.function = function;
      command.user = user;
    });
  });
}

}  // extern "C"

// Copies and fills. What stays on one device is a program like any other; what crosses the host
// link is the worker's.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/launch.h"
#include "csrc/sdk/runtime/module.h"
#include "csrc/sdk/runtime/pinned.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

// A pageable source of at most this size is copied aside so that the call returns at once; for a
// larger one the call waits instead, which costs less than fresh memory.
constexpr size_t kStagedBytes = size_t{64} << 10;

// Zeroing at least this much gives pages back. Less is faster written, as its pages stay warm.
constexpr size_t kPunchedZeroBytes = size_t{64} << 20;

// Bytes that one program of a copy or fill moves: a tile with three others in flight.
int64_t chunk_bytes(const sim::Machine& machine) {
  constexpr int64_t kMost = int64_t{64} << 10;
  return std::min(kMost,
                  static_cast<int64_t>(std::bit_floor<uint64_t>(machine.scratchpad_bytes() / 8)));
}

int64_t chunks(const sim::Machine& machine, size_t bytes) {
  const int64_t chunk = chunk_bytes(machine);
  return (static_cast<int64_t>(bytes) + chunk - 1) / chunk;
}

sim::Program build_copy(const sim::Machine& machine) {
  const int64_t chunk = chunk_bytes(machine);
  Builder b("copy_bytes", machine);
  const Pointer dst = b.pointer("dst");
  const Pointer src = b.pointer("src");
  const Value bytes = b.integer("bytes");
  const Tile tile = b.tile("chunk", DType::u8, chunk, 4);
  const Value start = b.pid() * chunk;
  const Value length = b.min(bytes - start, chunk);
  b.load(tile, src, start, {{length, 1}});
  b.store(dst, start, {{length, 1}}, tile);
  return b.finish();
}

sim::Program build_fill(const sim::Machine& machine) {
  const int64_t chunk = chunk_bytes(machine);
  Builder b("fill_bytes", machine);
  const Pointer dst = b.pointer("dst");
  const Value value = b.integer("value");
  const Value bytes = b.integer("bytes");
  const Value start = b.pid() * chunk;
  const Value length = b.min(bytes - start, chunk);
  b.fill_memory(dst, DType::u8, start, value, {{length, 1}});
  return b.finish();
}

void require_host(const void* pointer, const char* what) {
  const Device* owner = owner_of(pointer);
  if (owner == nullptr) return;
  throw StatusError(NPU_ERROR_INVALID_VALUE,
                    fmt::format("npuMemcpyAsync: {} {} is not host memory but an address of "
                                "device {}",
                                what, pointer, owner->index()));
}

npuStatus copy_from_host(npuStream_st& stream, void* dst, const void* src, size_t bytes) {
  Device& device = *stream.device;
  std::byte* to = device.machine_range(dst, bytes, "npuMemcpyAsync: dst");
  require_host(src, "src");
  const bool pinned = is_pinned(src, bytes);
  std::unique_ptr<std::byte[]> staged;
  if (!pinned && bytes <= kStagedBytes) {
    staged = std::make_unique_for_overwrite<std::byte[]>(bytes);
    std::memcpy(staged.get(), src, bytes);
  }
  const bool wait = !pinned && staged == nullptr;
  NPU_RETURN_IF_ERROR(device.enqueue(stream, CommandKind::copy, [&](Command& command) {
    command.direction = NPU_HOST_TO_DEVICE;
    command.dst = to;
    command.src = static_cast<const std::byte*>(src);
    command.bytes = static_cast<int64_t>(bytes);
    command.staged = std::move(staged);
  }));
  if (!wait) return NPU_SUCCESS;
  // The source has been read, no more: the simulated host goes on as if it had been staged.
  device.queue().wait(stream.last_ticket.load());
  return device.check();
}

npuStatus copy_to_host(npuStream_st& stream, void* dst, const void* src, size_t bytes) {
  Device& device = *stream.device;
  const std::byte* from = device.machine_range(src, bytes, "npuMemcpyAsync: src");
  require_host(dst, "dst");
  const bool pinned = is_pinned(dst, bytes);
  NPU_RETURN_IF_ERROR(device.enqueue(stream, CommandKind::copy, [&](Command& command) {
    command.direction = NPU_DEVICE_TO_HOST;
    command.dst = static_cast<std::byte*>(dst);
    command.src = from;
    command.bytes = static_cast<int64_t>(bytes);
  }));
  return pinned ? NPU_SUCCESS : npuStreamSynchronize(&stream);
}

npuStatus copy_to_peer(npuStream_st& stream, Device& to, void* dst, Device& from, const void* src,
                       size_t bytes) {
  if (stream.device != &to && stream.device != &from) {
    return failf(NPU_ERROR_INVALID_VALUE,
                 "npuMemcpyAsync: dst is on device {}, src on device {}, but the stream on device "
                 "{}",
                 to.index(), from.index(), stream.device->index());
  }
  Device& peer = stream.device == &to ? from : to;
  if (stream.device->is_estimator() || peer.is_estimator()) {
    return failf(NPU_ERROR_INVALID_VALUE,
                 "npuMemcpyAsync: dst is on device {}, src on device {}; an estimator has no peers",
                 to.index(), from.index());
  }
  peer.require_usable();
  std::byte* target = to.machine_range(dst, bytes, "npuMemcpyAsync: dst");
  const std::byte* source = from.machine_range(src, bytes, "npuMemcpyAsync: src");
  return stream.device->enqueue(stream, CommandKind::copy, [&](Command& command) {
    command.direction = NPU_DEVICE_TO_DEVICE;
    command.dst = target;
    command.src = source;
    command.bytes = static_cast<int64_t>(bytes);
    command.peer = &peer;
    command.outward = &peer == &to;
  });
}

npuStatus copy_on_device(npuStream_st& stream, void* dst, const void* src, size_t bytes) {
  Device& device = *stream.device;
  const std::byte* to = device.machine_range(dst, bytes, "npuMemcpyAsync: dst");
  const std::byte* from = device.machine_range(src, bytes, "npuMemcpyAsync: src");
  if (to < from + bytes && from < to + bytes && to != from) {
    return failf(NPU_ERROR_INVALID_VALUE, "npuMemcpyAsync: {} bytes from {} to {} overlap in part",
                 bytes, src, dst);
  }
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(cached_kernel(&stream, {"copy_bytes"}, build_copy, &kernel));
  const npuArg args[] = {arg(dst), arg(const_cast<void*>(src)), arg(static_cast<int64_t>(bytes))};
  return enqueue_launch(stream, kernel->program, chunks(device.machine(), bytes), args);
}

npuStatus copy_between_devices(npuStream_st& stream, void* dst, const void* src, size_t bytes) {
  Device* to = owner_of(dst);
  Device* from = owner_of(src);
  if (to == nullptr || from == nullptr) {
    return failf(NPU_ERROR_INVALID_VALUE, "npuMemcpyAsync: {} {} is not an address of a device",
                 to == nullptr ? "dst" : "src", to == nullptr ? dst : src);
  }
  if (to != from) return copy_to_peer(stream, *to, dst, *from, src, bytes);
  return copy_on_device(stream, dst, src, bytes);
}

}  // namespace
}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuMemcpyAsync(void* dst, const void* src, size_t bytes, npuMemcpyKind kind,
                         npuStream stream) {
  return guarded([&] {
    npuStream_st& target = usable_stream(stream);
    if (bytes == 0) return NPU_SUCCESS;
    if (dst == nullptr || src == nullptr) {
      return failf(NPU_ERROR_INVALID_VALUE, "npuMemcpyAsync: {} is NULL", dst ? "src" : "dst");
    }
    switch (kind) {
      case NPU_HOST_TO_DEVICE:
        return copy_from_host(target, dst, src, bytes);
      case NPU_DEVICE_TO_HOST:
        return copy_to_host(target, dst, src, bytes);
      case NPU_DEVICE_TO_DEVICE:
        return copy_between_devices(target, dst, src, bytes);
    }
    return failf(NPU_ERROR_INVALID_VALUE, "npuMemcpyAsync: {} is no npuMemcpyKind",
                 static_cast<int>(kind));
  });
}

npuStatus npuMemsetAsync(void* dst, int value, size_t bytes, npuStream stream) {
  return guarded([&] {
    npuStream_st& target = usable_stream(stream);
    if (bytes == 0) return NPU_SUCCESS;
    Device& device = *target.device;
    std::byte* to = device.machine_range(dst, bytes, "npuMemsetAsync: dst");
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(cached_kernel(stream, {"fill_bytes"}, build_fill, &kernel));
    const npuArg args[] = {arg(dst), arg(int64_t{value & 0xff}), arg(static_cast<int64_t>(bytes))};
    const int64_t grid = chunks(device.machine(), bytes);
    const auto count = static_cast<int64_t>(bytes);
    const auto byte = static_cast<std::byte>(value);
    const bool disabled = (kernel->program.engines & device.environment().disabled_engines) != 0;
    const bool zero = byte == std::byte{0};
    const bool skipped = device.is_estimator() ? zero || count <= kKeptBytes
                                               : zero && bytes >= kPunchedZeroBytes && !disabled;
    if (skipped) return enqueue_fill(target, kernel->program, grid, args, to, byte, count);
    return enqueue_launch(target, kernel->program, grid, args);
  });
}

}  // extern "C"

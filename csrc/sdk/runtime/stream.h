// Streams: in-order queues of a device's work, all served by the device's one worker.
#pragma once

#include <atomic>
#include <cstdint>

#include "csrc/sdk/runtime/clock.h"
#include "csrc/sdk/runtime/handle_pool.h"

namespace npu::sdk {
class Device;
}

struct npuStream_st : npu::sdk::Handle {
  npu::sdk::Device* device = nullptr;
  uint64_t number = 0;  // on its device; 0 is the default stream
  std::atomic<uint64_t> last_ticket{0};
  // When its last finished command ended; the worker writes it.
  std::atomic<npu::sdk::Picoseconds> clock{0};
  // The latest clock of a host thread that enqueued on it or waited for it: where the next thread
  // to enqueue is at least.
  std::atomic<npu::sdk::Picoseconds> host_clock{0};
};

namespace npu::sdk {

// Throws StatusError for a handle that is no live stream.
npuStream_st& live_stream(npuStream stream);
// The same, and throws the sticky error of the stream's device.
npuStream_st& usable_stream(npuStream stream);

npuStream_st* create_stream(Device& device);
// All of the device's, the default stream too.
void destroy_streams(const Device& device);

}  // namespace npu::sdk

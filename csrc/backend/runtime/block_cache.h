// Device memory of one device: blocks in use, blocks kept for reuse, and their statistics.
// Every block is one SDK allocation, so that the machine's bounds checks see tensors apart.
#pragma once

#include <c10/core/CachingDeviceAllocator.h>

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "csrc/backend/runtime/size_class.h"
#include "csrc/backend/runtime/stream.h"
#include "npu/npu.h"

namespace npu::backend {

struct Block {
  void* pointer = nullptr;
  size_t size = 0;       // of the SDK allocation
  size_t requested = 0;  // of the tensor that holds it now
  c10::DeviceIndex device = 0;
  c10::StreamId stream = 0;  // on which it is used, reused and released in order
  int size_class = 0;        // kUncached: too odd to keep
  uint32_t generation = 0;   // of the device when the block was made
  std::vector<c10::StreamId> other_streams;
  std::list<Block*>::iterator age;  // while kept
};

class BlockCache {
 public:
  explicit BlockCache(c10::DeviceIndex device) : device_(device) {}

  // A block of at least `bytes` > 0 for `stream`. Throws c10::OutOfMemoryError after emptying the
  // cache did not help.
  Block* acquire(size_t bytes, c10::StreamId stream);
  // The tensor is gone; never throws, since destructors call it.
  void release(Block* block) noexcept;

  void record_stream(Block* block, c10::StreamId stream);
  // Returns everything that is kept to the device, waiting for other streams' use of it.
  void empty();
  // The device was reset: whatever the blocks held is gone.
  void forget();

  c10::CachingDeviceAllocator::DeviceStats stats();
  void reset_accumulated_stats();
  void reset_peak_stats();

 private:
  using Bins = std::array<std::vector<Block*>, kSizeClasses>;
  struct Pending {  // released, but other streams may still use it
    Block* block;
    std::vector<npuEvent> events;
  };

  Block* take_kept(int size_class, c10::StreamId stream);
  Block* make(size_t bytes, c10::StreamId stream);
  npuStatus try_make(Block* block, size_t bytes);
  void keep(Block* block);
  void drop(Block* block);  // returns a kept block to the device
  void trim();
  void empty_locked();
  void collect_pending(bool to_free);
  [[noreturn]] void throw_out_of_memory(size_t bytes);
  void report_to_profiler(const Block& block, bool acquired);

  const c10::DeviceIndex device_;
  std::mutex mutex_;
  uint32_t generation_ = 0;
  std::array<std::unique_ptr<Bins>, 1 + kPoolStreams> bins_;
  std::list<Block*> kept_;  // the most recently released first
  size_t kept_bytes_ = 0;
  std::deque<Pending> pending_;
  c10::CachingDeviceAllocator::DeviceStats stats_;
};

}  // namespace npu::backend

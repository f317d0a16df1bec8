// Scratch memory of kernels, kept for the next one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace npu::sdk {

class DeviceMemory;

// A device runs its commands in the order in which they were enqueued, whatever their streams, so a
// block may be handed out again as soon as its user has enqueued its work.
class WorkspaceCache {
 public:
  explicit WorkspaceCache(DeviceMemory& memory) : memory_(memory) {}

  // Null if the device is out of memory.
  void* take(size_t bytes);
  // False for a pointer that take() did not give.
  bool give_back(void* pointer);
  // Gives the memory of blocks back that nobody has, after `drain()` has waited for the work that
  // was enqueued with them.
  template <class Drain>
  void trim(Drain&& drain) {
    const std::vector<void*> blocks = remove_idle();
    drain();
    release(blocks);
  }
  int64_t idle_bytes() const;
  void forget();  // after a reset of the memory

 private:
  std::vector<void*> remove_idle();
  void release(const std::vector<void*>& blocks);

  DeviceMemory& memory_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> idle_;  // by size
  std::unordered_map<void*, size_t> used_;
  int64_t idle_bytes_ = 0;
};

}  // namespace npu::sdk

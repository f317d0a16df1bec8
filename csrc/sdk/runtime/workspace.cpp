#include "csrc/sdk/runtime/workspace.h"

#include <algorithm>
#include <bit>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/memory.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

// Few sizes, so that blocks fit again: powers of two, above this whole multiples of it.
constexpr size_t kUnit = size_t{1} << 20;

size_t block_size(size_t bytes) {
  constexpr size_t kSmallest = 2048;
  if (bytes <= kUnit) return std::bit_ceil(std::max(bytes, kSmallest));
  return (bytes + kUnit - 1) / kUnit * kUnit;
}

}  // namespace

void* WorkspaceCache::take(size_t bytes) {
  const size_t size = block_size(bytes);
  std::lock_guard lock(mutex_);
  const auto it = idle_.lower_bound(size);
  if (it != idle_.end() && it->first <= 2 * size) {
    void* pointer = it->second.back();
    it->second.pop_back();
    idle_bytes_ -= static_cast<int64_t>(it->first);
    used_.emplace(pointer, it->first);
    if (it->second.empty()) idle_.erase(it);
    return pointer;
  }
  const auto region = memory_.allocate(size);
  if (!region) return nullptr;
  used_.emplace(region->base, size);
  return region->base;
}

bool WorkspaceCache::give_back(void* pointer) {
  std::lock_guard lock(mutex_);
  const auto it = used_.find(pointer);
  if (it == used_.end()) return false;
  idle_[it->second].push_back(pointer);
  idle_bytes_ += static_cast<int64_t>(it->second);
  used_.erase(it);
  return true;
}

std::vector<void*> WorkspaceCache::remove_idle() {
  std::lock_guard lock(mutex_);
  std::vector<void*> blocks;
  for (const auto& [size, pointers] : idle_) {
    blocks.insert(blocks.end(), pointers.begin(), pointers.end());
  }
  idle_.clear();
  idle_bytes_ = 0;
  return blocks;
}

void WorkspaceCache::release(const std::vector<void*>& blocks) {
  for (void* block : blocks) memory_.release(block);
}

int64_t WorkspaceCache::idle_bytes() const {
  std::lock_guard lock(mutex_);
  return idle_bytes_;
}

void WorkspaceCache::forget() {
  std::lock_guard lock(mutex_);
  idle_.clear();
  used_.clear();
  idle_bytes_ = 0;
}

npuStatus workspace_alloc(npuStream stream, size_t bytes, void** pointer) {
  *pointer = nullptr;
  return guarded([&] {
    Device& device = *usable_stream(stream).device;
    *pointer = device.workspaces().take(bytes);
    if (*pointer == nullptr) return npuMalloc(device.index(), bytes, pointer);
    return NPU_SUCCESS;
  });
}

npuStatus workspace_free(npuStream stream, void* pointer) {
  return guarded([&] {
    if (pointer == nullptr) return NPU_SUCCESS;
    Device& device = *live_stream(stream).device;
    if (device.workspaces().give_back(pointer)) return NPU_SUCCESS;
    return npuFree(pointer);
  });
}

}  // namespace npu::sdk

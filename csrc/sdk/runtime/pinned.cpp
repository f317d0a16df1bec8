#include "csrc/sdk/runtime/pinned.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

constexpr size_t kPage = 4096;

struct Registry {
  std::mutex mutex;
  std::map<uintptr_t, size_t> ranges;  // base to size
};

Registry& registry() {
  static auto* instance = new Registry;  // outlives whatever frees memory at exit
  return *instance;
}

}  // namespace

std::optional<PinnedRange> find_pinned(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  Registry& pinned = registry();
  std::lock_guard lock(pinned.mutex);
  auto it = pinned.ranges.upper_bound(address);
  if (it == pinned.ranges.begin()) return std::nullopt;
  --it;
  if (address - it->first >= std::max<size_t>(it->second, 1)) return std::nullopt;
  return PinnedRange{reinterpret_cast<void*>(it->first), it->second};
}

bool is_pinned(const void* pointer, size_t bytes) {
  const auto range = find_pinned(pointer);
  if (!range) return false;
  const size_t inside =
      static_cast<const std::byte*>(pointer) - static_cast<const std::byte*>(range->base);
  return bytes <= range->size - inside;
}

}  // namespace npu::sdk

using npu::sdk::fail;
using npu::sdk::failf;
using npu::sdk::guarded;

extern "C" {

// The machine has no agent that reads host memory behind the kernel's back, so plain pages serve.
npuStatus npuHostAlloc(size_t bytes, void** pointer) {
  return guarded([&] {
    if (pointer == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuHostAlloc: pointer is NULL");
    constexpr size_t kMost = SIZE_MAX / 2;
    const size_t pages = bytes > kMost ? 0 : (bytes + npu::sdk::kPage - 1) / npu::sdk::kPage;
    void* memory = bytes > kMost ? nullptr
                                 : std::aligned_alloc(npu::sdk::kPage,
                                                      std::max<size_t>(pages, 1) * npu::sdk::kPage);
    if (memory == nullptr) {
      return failf(NPU_ERROR_OUT_OF_MEMORY, "the host has no {} bytes", bytes);
    }
    auto& pinned = npu::sdk::registry();
    std::lock_guard lock(pinned.mutex);
    pinned.ranges.emplace(reinterpret_cast<uintptr_t>(memory), bytes);
    *pointer = memory;
    return NPU_SUCCESS;
  });
}

npuStatus npuHostFree(void* pointer) {
  return guarded([&] {
    if (pointer == nullptr) return NPU_SUCCESS;
    {
      auto& pinned = npu::sdk::registry();
      std::lock_guard lock(pinned.mutex);
      if (pinned.ranges.erase(reinterpret_cast<uintptr_t>(pointer)) == 0) {
        return failf(NPU_ERROR_INVALID_VALUE, "{} is not the start of pinned host memory", pointer);
      }
    }
    npu::sdk::require_process();
    npu::sdk::drain_devices();
    std::free(pointer);
    return NPU_SUCCESS;
  });
}

}  // extern "C"

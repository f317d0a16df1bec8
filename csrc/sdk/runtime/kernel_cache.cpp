#include "csrc/sdk/runtime/kernel_cache.h"

#include <array>
#include <atomic>
#include <mutex>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/module.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

struct Entry {
  const sim::Machine* machine;
  KernelKey key;
  npuKernel kernel;
  const Entry* next;
};

// Entries are added and never removed, so lookups take no lock.
struct Cache {
  static constexpr size_t kBuckets = 4096;
  std::array<std::atomic<const Entry*>, kBuckets> buckets = {};
  std::mutex build_mutex;
};

Cache& cache() {
  static auto* instance = new Cache;
  return *instance;
}

size_t bucket(const KernelKey& key) {
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  uint64_t hash = key.family.size();
  for (const char c : key.family) hash = (hash ^ static_cast<unsigned char>(c)) * kMultiplier;
  for (const int64_t v : key.variant) hash = (hash ^ static_cast<uint64_t>(v)) * kMultiplier;
  return (hash ^ hash >> 32) % Cache::kBuckets;
}

npuKernel find(const std::atomic<const Entry*>& head, const sim::Machine* machine,
               const KernelKey& key) {
  for (const Entry* entry = head.load(std::memory_order_acquire); entry != nullptr;
       entry = entry->next) {
    if (entry->machine == machine && entry->key == key) return entry->kernel;
  }
  return nullptr;
}

}  // namespace

const sim::Machine* machine_of(npuStream stream) {
  const sim::Machine* machine = nullptr;
  guarded([&] {
    machine = &live_stream(stream).device->machine();
    return NPU_SUCCESS;
  });
  return machine;
}

npuStatus cached_kernel(npuStream stream, const KernelKey& key,
                        const std::function<sim::Program(const sim::Machine&)>& build,
                        npuKernel* kernel) {
  return guarded([&] {
    // A process has one machine, which its devices share: its address stands for its content.
    const sim::Machine& machine = live_stream(stream).device->machine();
    Cache& programs = cache();
    std::atomic<const Entry*>& head = programs.buckets[bucket(key)];
    *kernel = find(head, &machine, key);
    if (*kernel != nullptr) return NPU_SUCCESS;
    std::lock_guard lock(programs.build_mutex);
    *kernel = find(head, &machine, key);
    if (*kernel != nullptr) return NPU_SUCCESS;
    *kernel = create_kernel(build(machine));
    head.store(new Entry{&machine, key, *kernel, head.load()}, std::memory_order_release);
    return NPU_SUCCESS;
  });
}

}  // namespace npu::sdk

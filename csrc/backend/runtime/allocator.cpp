#include "csrc/backend/runtime/allocator.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <array>

#include "csrc/backend/runtime/block_cache.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"

namespace npu::backend {
namespace {

BlockCache& cache_of(c10::DeviceIndex device) {
  // Never destroyed: tensors may be released at any time until the process ends.
  static auto* const caches = [] {
    auto* const all = new std::array<BlockCache*, kMaxDevices>;
    for (int i = 0; i < kMaxDevices; ++i) (*all)[i] = new BlockCache(static_cast<int8_t>(i));
    return all;
  }();
  return *(*caches)[device];
}

void release_block(void* context) {
  // A forked child must not touch its parent's device; its copy of the block ends with it.
  if (in_bad_fork()) return;
  auto* const block = static_cast<Block*>(context);
  cache_of(block->device).release(block);
}

class NpuAllocator final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    ensure_initialized();
    const c10::DeviceIndex index = current_device();
    const c10::Device device(c10::kPrivateUse1, index);
    if (bytes == 0) return {nullptr, device};
    Block* const block = cache_of(index).acquire(bytes, current_torch_stream(index).id());
    return {block->pointer, block, release_block, device};
  }

  bool is_simple_data_ptr(const c10::DataPtr& pointer) const override {
    return pointer.get_deleter() == release_block &&
           static_cast<Block*>(pointer.get_context())->pointer == pointer.get();
  }

  void copy_data(void* dst, const void* src, size_t bytes) const override {
    NPU_CHECK(npuMemcpyAsync(dst, src, bytes, NPU_DEVICE_TO_DEVICE, current_stream()));
  }

  bool initialized() override { return is_initialized(); }

  void emptyCache(c10::MempoolId_t) override {
    for (c10::DeviceIndex i = 0; i < device_count(); ++i) cache_of(i).empty();
  }

  void recordStream(const c10::DataPtr& pointer, c10::Stream stream) override {
    record_stream(pointer, stream);
  }

  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex device) override {
    check_device_index(device);
    return cache_of(device).stats();
  }
  void resetAccumulatedStats(c10::DeviceIndex device) override {
    check_device_index(device);
    cache_of(device).reset_accumulated_stats();
  }
  void resetPeakStats(c10::DeviceIndex device) override {
    check_device_index(device);
    cache_of(device).reset_peak_stats();
  }

  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex device) override {
    check_device_index(device);
    size_t free = 0;
    size_t total = 0;
    NPU_CHECK(npuMemGetInfo(device, &free, &total));
    return {free, total};
  }
};

REGISTER_ALLOCATOR(c10::kPrivateUse1, device_allocator());

}  // namespace

c10::Allocator* device_allocator() {
  static auto* const allocator = new NpuAllocator;
  return allocator;
}

void record_stream(const c10::DataPtr& pointer, c10::Stream stream) {
  if (pointer.get_deleter() != release_block) return;
  auto* const block = static_cast<Block*>(pointer.get_context());
  native_stream(stream);  // throws for a stream that is none
  TORCH_CHECK(stream.device_index() == block->device,
              "memory of npu:", static_cast<int>(block->device),
              " cannot be recorded on a stream of ", stream.device());
  cache_of(block->device).record_stream(block, stream.id());
}

void forget_device_memory(c10::DeviceIndex device) { cache_of(device).forget(); }

}  // namespace npu::backend

// Pinned host memory: PyTorch's caching host allocator over npuHostAlloc().
#include <ATen/core/CachingHostAllocator.h>

#include <cstring>
#include <memory>
#include <type_traits>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"
#include "csrc/backend/runtime/stream.h"

namespace npu::backend {
namespace {

struct DestroyEvent {
  void operator()(npuEvent event) const { npuEventDestroy(event); }
};
using OwnedEvent = std::unique_ptr<std::remove_pointer_t<npuEvent>, DestroyEvent>;
using HostBlock = at::HostBlock<c10::Stream>;

class HostAllocatorImpl final
    : public at::CachingHostAllocatorImpl<c10::Stream, OwnedEvent, HostBlock> {
 public:
  // A forked child leaves its parent's memory alone.
  void free(void* context) override {
    if (!in_bad_fork()) CachingHostAllocatorImpl::free(context);
  }
  void copy_data(void* dst, const void* src, size_t bytes) const override {
    std::memcpy(dst, src, bytes);
  }

 private:
  void allocate_host_memory(size_t size, void** pointer) override {
    ensure_initialized();
    NPU_CHECK(npuHostAlloc(size, pointer));
  }
  void free_block(HostBlock* block) override { NPU_CHECK(npuHostFree(block->ptr_)); }
  void record_stream(std::optional<std::vector<OwnedEvent>>& events, c10::Stream stream) override {
    npuEvent event = nullptr;
    NPU_CHECK(npuEventCreate(&event));
    events->emplace_back(event);
    NPU_CHECK(npuEventRecord(event, native_stream(stream)));
  }
  bool query_event(OwnedEvent& event) override {
    return npuEventQuery(event.get()) != NPU_ERROR_NOT_READY;
  }
  c10::Stream get_current_stream() const override { return current_torch_stream(); }
  bool stream_is_capturing(c10::Stream) const override { return false; }
};

void free_host_block(void* context);

struct NpuHostAllocator final
    : at::CachingHostAllocatorInterface<HostAllocatorImpl, free_host_block> {};

NpuHostAllocator* host_allocator() {
  static auto* const allocator = new NpuHostAllocator;  // outlives every tensor
  return allocator;
}

void free_host_block(void* context) { host_allocator()->free(context); }

REGISTER_HOST_ALLOCATOR(at::kPrivateUse1, host_allocator());

}  // namespace
}  // namespace npu::backend

#include "csrc/sdk/runtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/pinned.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

// Memory comes from the host and goes back to it in its huge pages: with small ones, large tensors
// would take half the time again in address translation.
constexpr int64_t kPage = int64_t{1} << 21;

// How far addresses reach.
constexpr int64_t address_span(int64_t capacity) {
  return std::max(4 * capacity, int64_t{1} << 30) / kPage * kPage;
}

// Lookups of allocations that a thread made before. An entry holds while nothing was released.
struct CachedRegion {
  uintptr_t row = 0;
  uint64_t generation = 0;  // 0: empty
  DeviceMemory::Region region = {};
};
constexpr int kCachedRegions = 256;
constexpr int kRowBits = 11;
std::atomic<uint64_t> release_generation{1};

CachedRegion& cached(const void* pointer) {
  thread_local std::array<CachedRegion, kCachedRegions> regions;
  const uintptr_t row = reinterpret_cast<uintptr_t>(pointer) >> kRowBits;
  return regions[(row ^ row >> 9 ^ row >> 18) % kCachedRegions];
}

}  // namespace

DeviceMemory::DeviceMemory(int device, int64_t capacity, int64_t row)
    : device_(device), span_(address_span(capacity)), space_(capacity, span_, row) {
  const auto refuse = [&](const char* step) {
    return StatusError(NPU_ERROR_OUT_OF_MEMORY,
                       fmt::format("device {}: {} for {} bytes of memory failed: {}", device, step,
                                   capacity, std::strerror(errno)));
  };
  const auto map = [&](int64_t bytes, int protection) {
    void* mapping =
        mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) throw refuse("mmap");
    madvise(mapping, bytes, MADV_DONTDUMP);
    return static_cast<std::byte*>(mapping);
  };
  base_ = map(span_, PROT_NONE);
  mapping_ = map(span_ + kPage, PROT_READ | PROT_WRITE);
  machine_ = mapping_ + -reinterpret_cast<uintptr_t>(mapping_) % kPage;
  madvise(machine_, span_, MADV_HUGEPAGE);  // an advice only: hosts may not have such pages
  madvise(machine_, span_, MADV_DONTFORK);  // children cannot use the device
}

DeviceMemory::~DeviceMemory() {
  release_generation.fetch_add(1, std::memory_order_acq_rel);
  if (base_ != nullptr) munmap(base_, span_);
  if (mapping_ != nullptr) munmap(mapping_, span_ + kPage);
}

std::optional<DeviceMemory::Region> DeviceMemory::allocate(size_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes > static_cast<size_t>(space_.capacity())) return std::nullopt;
  const auto allocation = space_.allocate(static_cast<int64_t>(bytes));
  if (!allocation) return std::nullopt;
  const Region made = region(*allocation);
  if (known_ != nullptr) known_->remove(made.machine, allocation->reserved);
  return made;
}

bool DeviceMemory::release(const void* pointer) {
  std::lock_guard lock(mutex_);
  const auto allocation = space_.release(offset(pointer));
  if (!allocation) return false;
  release_generation.fetch_add(1, std::memory_order_acq_rel);
  punch(allocation->offset, allocation->offset + allocation->reserved);
  return true;
}

void DeviceMemory::reset() {
  std::lock_guard lock(mutex_);
  space_.reset();
  if (known_ != nullptr) known_->clear();
  release_generation.fetch_add(1, std::memory_order_acq_rel);
  punch(0, span_);
}

std::optional<DeviceMemory::Region> DeviceMemory::find(const void* pointer) const {
  CachedRegion& entry = cached(pointer);
  const uintptr_t row = reinterpret_cast<uintptr_t>(pointer) >> kRowBits;
  const uint64_t generation = release_generation.load(std::memory_order_acquire);
  if (entry.generation == generation && entry.row == row) {
    const int64_t inside = static_cast<const std::byte*>(pointer) - entry.region.base;
    if (inside >= 0 && inside < entry.region.size) return entry.region;
  }
  std::lock_guard lock(mutex_);
  const auto allocation = space_.find(offset(pointer));
  if (!allocation) return std::nullopt;
  entry = {row, generation, region(*allocation)};
  return entry.region;
}

bool DeviceMemory::is_stale(const void* pointer) const {
  std::lock_guard lock(mutex_);
  return space_.is_stale(offset(pointer));
}

std::string DeviceMemory::nearest(const void* pointer) const {
  std::lock_guard lock(mutex_);
  const auto allocation = space_.nearest(offset(pointer));
  if (!allocation) return fmt::format("device {} has no allocations", device_);
  return fmt::format("nearest allocation of device {}: {} ({} bytes)", device_,
                     static_cast<const void*>(base_ + allocation->offset), allocation->size);
}

std::optional<DeviceMemory::Region> DeviceMemory::try_find(const void* pointer) const {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return std::nullopt;
  const auto allocation = space_.find(offset(pointer));
  if (!allocation) return std::nullopt;
  return region(*allocation);
}

DeviceMemory::Info DeviceMemory::info() const {
  std::lock_guard lock(mutex_);
  return {space_.used(), space_.capacity()};
}

void DeviceMemory::fill(std::byte* begin, std::byte value, int64_t bytes) {
  if (value == std::byte{0}) {
    zero(begin, bytes);
  } else {
    std::memset(begin, static_cast<int>(value), bytes);
  }
}

void DeviceMemory::zero(std::byte* begin, int64_t bytes) {
  const int64_t first = begin - machine_;
  const int64_t whole_begin = (first + kPage - 1) / kPage * kPage;
  const int64_t whole_end = (first + bytes) / kPage * kPage;
  if (whole_begin >= whole_end) {
    std::memset(begin, 0, bytes);
    return;
  }
  std::memset(begin, 0, whole_begin - first);
  punch(whole_begin, whole_end);
  std::memset(machine_ + whole_end, 0, first + bytes - whole_end);
}

void DeviceMemory::punch(int64_t begin, int64_t end) {
  begin = (begin + kPage - 1) / kPage * kPage;
  end = end / kPage * kPage;
  if (begin >= end) return;
  if (madvise(machine_ + begin, end - begin, MADV_DONTNEED) != 0) {
    throw StatusError(NPU_ERROR_OUT_OF_MEMORY,
                      fmt::format("device {}: giving {} bytes back to the host failed: {}", device_,
                                  end - begin, std::strerror(errno)));
  }
}

}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuMalloc(int index, size_t bytes, void** pointer) {
  return guarded([&] {
    if (pointer == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuMalloc: pointer is NULL");
    Device& device = usable_device(index);
    auto region = device.memory().allocate(bytes);
    if (!region && device.workspaces().idle_bytes() > 0) {
      device.workspaces().trim([&] { device.drain(); });
      region = device.memory().allocate(bytes);
    }
    if (!region) {
      const auto info = device.memory().info();
      return failf(NPU_ERROR_OUT_OF_MEMORY,
                   "device {} is out of memory: requested {}, free {}, total {} bytes", index,
                   bytes, info.total - info.used, info.total);
    }
    *pointer = region->base;
    return NPU_SUCCESS;
  });
}

npuStatus npuFree(void* pointer) {
  return guarded([&] {
    if (pointer == nullptr) return NPU_SUCCESS;
    Device* device = owner_of(pointer);
    if (device == nullptr) {
      return failf(NPU_ERROR_INVALID_VALUE, "npuFree: {} is not an address of a device", pointer);
    }
    device->drain();  // when memory comes back is no event of the simulation
    if (device->memory().release(pointer) || device->memory().is_stale(pointer)) {
      return NPU_SUCCESS;
    }
    return failf(NPU_ERROR_INVALID_VALUE, "npuFree: {} is not the start of an allocation; {}",
                 pointer, device->memory().nearest(pointer));
  });
}

npuStatus npuMemGetInfo(int index, size_t* free_bytes, size_t* total_bytes) {
  return guarded([&] {
    Device& device = usable_device(index);
    const auto info = device.memory().info();
    if (free_bytes != nullptr) {
      // Idle workspaces are given up when somebody asks for the memory.
      *free_bytes = info.total - info.used + device.workspaces().idle_bytes();
    }
    if (total_bytes != nullptr) *total_bytes = info.total;
    return NPU_SUCCESS;
  });
}

npuStatus npuPointerGetAttributes(const void* pointer, npuPointerAttributes* attributes) {
  return guarded([&] {
    if (attributes == nullptr) {
      return fail(NPU_ERROR_INVALID_VALUE, "npuPointerGetAttributes: attributes is NULL");
    }
    if (const auto pinned = find_pinned(pointer)) {
      *attributes = {.device = -1, .base = pinned->base, .size = pinned->size};
      return NPU_SUCCESS;
    }
    Device* device = owner_of(pointer);
    if (device == nullptr) {
      return failf(NPU_ERROR_INVALID_VALUE, "{} is neither device memory nor pinned host memory",
                   pointer);
    }
    const auto region = device->region_of(pointer, "npuPointerGetAttributes");
    *attributes = {
        .device = device->index(), .base = region.base, .size = static_cast<size_t>(region.size)};
    return NPU_SUCCESS;
  });
}

}  // extern "C"

#include "csrc/backend/runtime/block_cache.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"

namespace npu::backend {
namespace {

using c10::CachingAllocator::StatArray;
using c10::CachingAllocator::StatType;
using c10::CachingDeviceAllocator::DeviceStats;

constexpr int kUncached = -1;
constexpr size_t kLargeBlock = size_t{1} << 20;
// Memory that is kept but unused occupies the host: beyond this and half of what tensors hold, the
// longest unused blocks go back.
constexpr size_t kKeptFloor = size_t{1} << 30;

constexpr StatArray DeviceStats::* kStatArrays[] = {
    &DeviceStats::allocation,      &DeviceStats::segment,
    &DeviceStats::active,          &DeviceStats::inactive_split,
    &DeviceStats::allocated_bytes, &DeviceStats::reserved_bytes,
    &DeviceStats::active_bytes,    &DeviceStats::inactive_split_bytes,
    &DeviceStats::requested_bytes,
};

// Adds to (or, negative, takes from) the total and the pool that a block of `size` belongs to.
void count(StatArray& stat, size_t size, int64_t amount) {
  const auto pool = size < kLargeBlock ? StatType::SMALL_POOL : StatType::LARGE_POOL;
  for (const StatType type : {StatType::AGGREGATE, pool}) {
    auto& entry = stat[static_cast<size_t>(type)];
    if (amount >= 0) {
      entry.increase(amount);
    } else {
      entry.decrease(-amount);
    }
  }
}

int64_t current(const StatArray& stat) {
  return stat[static_cast<size_t>(StatType::AGGREGATE)].current;
}

}  // namespace

Block* BlockCache::acquire(size_t bytes, c10::StreamId stream) {
  const SizeClass rounded = size_class(bytes);
  const std::scoped_lock lock(mutex_);
  if (!pending_.empty()) collect_pending(/*to_free=*/false);
  Block* block = take_kept(rounded.index, stream);
  if (block == nullptr) block = make(bytes, stream);
  block->requested = bytes;
  const auto size = static_cast<int64_t>(block->size);
  count(stats_.allocation, size, 1);
  count(stats_.active, size, 1);
  count(stats_.allocated_bytes, size, size);
  count(stats_.active_bytes, size, size);
  count(stats_.requested_bytes, size, static_cast<int64_t>(bytes));
  report_to_profiler(*block, /*acquired=*/true);
  return block;
}

void BlockCache::release(Block* block) noexcept {
  const std::scoped_lock lock(mutex_);
  if (block->generation != generation_) {
    delete block;
    return;
  }
  const auto size = static_cast<int64_t>(block->size);
  count(stats_.allocation, size, -1);
  count(stats_.allocated_bytes, size, -size);
  count(stats_.requested_bytes, size, -static_cast<int64_t>(block->requested));
  report_to_profiler(*block, /*acquired=*/false);
  if (block->other_streams.empty()) {
    keep(block);
    return;
  }
  Pending pending{block, {}};
  for (const c10::StreamId id : block->other_streams) {
    const c10::Stream stream(c10::Stream::UNSAFE, {c10::kPrivateUse1, device_}, id);
    npuEvent event = nullptr;
    // Fails only on a device that is to be reset anyway.
    if (npuEventCreate(&event) != NPU_SUCCESS) continue;
    npuEventRecord(event, native_stream(stream));
    pending.events.push_back(event);
  }
  block->other_streams.clear();
  pending_.push_back(std::move(pending));
}

void BlockCache::record_stream(Block* block, c10::StreamId stream) {
  const std::scoped_lock lock(mutex_);
  if (stream == block->stream ||
      std::ranges::find(block->other_streams, stream) != block->other_streams.end())
    return;
  block->other_streams.push_back(stream);
}

void BlockCache::empty() {
  const std::scoped_lock lock(mutex_);
  empty_locked();
}

void BlockCache::empty_locked() {
  collect_pending(/*to_free=*/true);
  while (!kept_.empty()) drop(kept_.back());
}

void BlockCache::forget() {
  const std::scoped_lock lock(mutex_);
  ++generation_;
  for (Block* block : kept_) delete block;
  kept_.clear();
  kept_bytes_ = 0;
  for (auto& bins : bins_) bins.reset();
  for (Pending& pending : pending_) {
    std::ranges::for_each(pending.events, npuEventDestroy);
    delete pending.block;
  }
  pending_.clear();
  for (const auto member : kStatArrays) {
    for (auto& stat : stats_.*member) stat.decrease(stat.current);
  }
}

DeviceStats BlockCache::stats() {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

void BlockCache::reset_accumulated_stats() {
  const std::scoped_lock lock(mutex_);
  for (const auto member : kStatArrays) {
    for (auto& stat : stats_.*member) stat.reset_accumulated();
  }
  stats_.num_alloc_retries = stats_.num_ooms = 0;
  stats_.num_sync_all_streams = stats_.num_device_alloc = stats_.num_device_free = 0;
}

void BlockCache::reset_peak_stats() {
  const std::scoped_lock lock(mutex_);
  for (const auto member : kStatArrays) {
    for (auto& stat : stats_.*member) stat.reset_peak();
  }
}

Block* BlockCache::take_kept(int size_class, c10::StreamId stream) {
  const auto& bins = bins_[stream];
  if (bins == nullptr || (*bins)[size_class].empty()) return nullptr;
  Block* const block = (*bins)[size_class].back();
  (*bins)[size_class].pop_back();
  kept_.erase(block->age);
  kept_bytes_ -= block->size;
  return block;
}

npuStatus BlockCache::try_make(Block* block, size_t bytes) {
  block->size = bytes;
  return npuMalloc(device_, bytes, &block->pointer);
}

Block* BlockCache::make(size_t bytes, c10::StreamId stream) {
  ensure_initialized();
  const SizeClass rounded = size_class(bytes);
  auto block = std::make_unique<Block>();
  block->device = device_;
  block->stream = stream;
  block->size_class = rounded.index;
  block->generation = generation_;
  npuStatus status = try_make(block.get(), rounded.bytes);
  if (status == NPU_ERROR_OUT_OF_MEMORY) {
    ++stats_.num_alloc_retries;
    empty_locked();
    status = try_make(block.get(), rounded.bytes);
  }
  if (status == NPU_ERROR_OUT_OF_MEMORY) {  // rounding may have been what did not fit
    block->size_class = kUncached;
    status = try_make(block.get(), bytes);
  }
  if (status == NPU_ERROR_OUT_OF_MEMORY) throw_out_of_memory(bytes);
  NPU_CHECK(status);
  ++stats_.num_device_alloc;
  count(stats_.segment, block->size, 1);
  count(stats_.reserved_bytes, block->size, static_cast<int64_t>(block->size));
  return block.release();
}

void BlockCache::keep(Block* block) {
  count(stats_.active, block->size, -1);
  count(stats_.active_bytes, block->size, -static_cast<int64_t>(block->size));
  kept_.push_front(block);
  block->age = kept_.begin();
  kept_bytes_ += block->size;
  if (block->size_class == kUncached) {
    drop(block);
    return;
  }
  auto& bins = bins_[block->stream];
  if (bins == nullptr) bins = std::make_unique<Bins>();
  (*bins)[block->size_class].push_back(block);
  trim();
}

void BlockCache::drop(Block* block) {
  if (block->size_class != kUncached) {
    auto& bin = (*bins_[block->stream])[block->size_class];
    bin.erase(std::ranges::find(bin, block));
  }
  kept_.erase(block->age);
  kept_bytes_ -= block->size;
  npuFree(block->pointer);  // fails only on a device that is to be reset anyway
  ++stats_.num_device_free;
  count(stats_.segment, block->size, -1);
  count(stats_.reserved_bytes, block->size, -static_cast<int64_t>(block->size));
  delete block;
}

void BlockCache::trim() {
  const size_t limit = kKeptFloor + static_cast<size_t>(current(stats_.allocated_bytes)) / 2;
  while (kept_bytes_ > limit) drop(kept_.back());
}

void BlockCache::collect_pending(bool to_free) {
  const auto done = [&](const Pending& pending) {
    return std::ranges::all_of(pending.events, [&](npuEvent event) {
      // Blocks to be freed need no waiting here: npuFree waits, and moves no simulated clock.
      return to_free || npuEventQuery(event) != NPU_ERROR_NOT_READY;
    });
  };
  if (to_free && !pending_.empty()) ++stats_.num_sync_all_streams;
  std::erase_if(pending_, [&](Pending& pending) {
    if (!done(pending)) return false;
    std::ranges::for_each(pending.events, npuEventDestroy);
    keep(pending.block);
    return true;
  });
}

void BlockCache::throw_out_of_memory(size_t bytes) {
  using c10::CachingAllocator::format_size;
  ++stats_.num_ooms;
  size_t free = 0;
  size_t total = 0;
  NPU_CHECK(npuMemGetInfo(device_, &free, &total));
  const auto allocated = static_cast<size_t>(current(stats_.allocated_bytes));
  c10::reportOutOfMemoryToProfiler(static_cast<int64_t>(bytes), allocated,
                                   current(stats_.reserved_bytes), {c10::kPrivateUse1, device_});
  TORCH_CHECK_WITH(OutOfMemoryError, false, "out of memory on npu:", static_cast<int>(device_),
                   ": requested ", bytes, " bytes (", format_size(bytes), "), free ", free,
                   " bytes (", format_size(free), "), total ", total, " bytes (",
                   format_size(total), "); tensors hold ", format_size(allocated));
}

void BlockCache::report_to_profiler(const Block& block, bool acquired) {
  const auto size = static_cast<int64_t>(block.size);
  c10::reportMemoryUsageToProfiler(block.pointer, acquired ? size : -size,
                                   current(stats_.allocated_bytes), current(stats_.reserved_bytes),
                                   {c10::kPrivateUse1, device_});
}

}  // namespace npu::backend

#include "csrc/sdk/runtime/address_space.h"

#include <algorithm>

namespace npu::sdk {
namespace {

// Larger allocations start on a huge page, so that the host may back them with such.
constexpr int64_t kHugePage = int64_t{2} << 20;

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

AddressSpace::AddressSpace(int64_t capacity, int64_t span, int64_t row)
    : capacity_(capacity), span_(span), row_(row) {}

std::optional<AddressSpace::Allocation> AddressSpace::allocate(int64_t bytes) {
  if (bytes > capacity_) return std::nullopt;  // before rounding can overflow
  const int64_t reserved = round_up(std::max<int64_t>(bytes, 1), row_);
  if (reserved > capacity_ - used_) return std::nullopt;
  const int64_t alignment = reserved >= kHugePage ? std::max(kHugePage, row_) : row_;
  const auto offset = take(reserved, alignment);
  if (!offset) return std::nullopt;
  const Allocation allocation{*offset, bytes, reserved};
  live_.emplace(*offset, allocation);
  used_ += reserved;
  return allocation;
}

// Best fit among what was used before, as its pages are warm; new addresses otherwise.
std::optional<int64_t> AddressSpace::take(int64_t reserved, int64_t alignment) {
  for (auto it = free_sizes_.lower_bound({reserved, 0}); it != free_sizes_.end(); ++it) {
    const auto [size, begin] = *it;
    const int64_t offset = round_up(begin, alignment);
    if (offset + reserved > begin + size) continue;
    erase_free(free_.find(begin));
    insert_free(begin, offset - begin);
    insert_free(offset + reserved, begin + size - offset - reserved);
    return offset;
  }
  const int64_t offset = round_up(top_, alignment);
  if (offset + reserved <= span_) {
    insert_free(top_, offset - top_);
    top_ = offset + reserved;
    return offset;
  }
  if (stale_begin_ == stale_end_) return std::nullopt;
  const int64_t begin = stale_begin_;
  const int64_t size = stale_end_ - stale_begin_;
  stale_begin_ = stale_end_ = 0;
  insert_free(begin, size);
  return take(reserved, alignment);
}

std::optional<AddressSpace::Allocation> AddressSpace::release(int64_t offset) {
  const auto it = live_.find(offset);
  if (it == live_.end()) return std::nullopt;
  const Allocation allocation = it->second;
  live_.erase(it);
  used_ -= allocation.reserved;
  insert_free(offset, allocation.reserved);
  return allocation;
}

void AddressSpace::reset() {
  live_.clear();
  free_.clear();
  free_sizes_.clear();
  used_ = 0;
  stale_begin_ = 0;
  stale_end_ = top_;
}

std::optional<AddressSpace::Allocation> AddressSpace::find(int64_t at) const {
  auto it = live_.upper_bound(at);
  if (it == live_.begin()) return std::nullopt;
  --it;
  if (!it->second.contains(at)) return std::nullopt;
  return it->second;
}

std::optional<AddressSpace::Allocation> AddressSpace::nearest(int64_t at) const {
  const auto above = live_.upper_bound(at);
  if (above == live_.begin()) {
    return above == live_.end() ? std::nullopt : std::optional(above->second);
  }
  const Allocation& below = std::prev(above)->second;
  if (above == live_.end()) return below;
  const int64_t past_below = at - (below.offset + below.size);
  return past_below <= above->second.offset - at ? below : above->second;
}

void AddressSpace::insert_free(int64_t offset, int64_t size) {
  if (size == 0) return;
  auto after = free_.lower_bound(offset);
  if (after != free_.end() && offset + size == after->first) {
    size += after->second;
    const auto merged = after++;
    erase_free(merged);
  }
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == offset) {
      offset = before->first;
      size += before->second;
      erase_free(before);
    }
  }
  free_.emplace(offset, size);
  free_sizes_.emplace(size, offset);
}

void AddressSpace::erase_free(std::map<int64_t, int64_t>::iterator range) {
  free_sizes_.erase({range->second, range->first});
  free_.erase(range);
}

}  // namespace npu::sdk

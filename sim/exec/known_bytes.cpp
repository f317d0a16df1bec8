#include "sim/exec/known_bytes.h"

#include <algorithm>
#include <iterator>

namespace npu::sim {
namespace {

uintptr_t address(const std::byte* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

}  // namespace

void KnownBytes::add(const std::byte* pointer, int64_t bytes) {
  if (bytes <= 0) return;
  uintptr_t begin = address(pointer);
  uintptr_t end = begin + static_cast<uintptr_t>(bytes);
  const std::lock_guard lock(mutex_);
  // Joins what it touches on either side.
  auto it = ranges_.upper_bound(begin);
  if (it != ranges_.begin() && std::prev(it)->second >= begin) --it;
  while (it != ranges_.end() && it->first <= end) {
    begin = std::min(begin, it->first);
    end = std::max(end, it->second);
    it = ranges_.erase(it);
  }
  ranges_.emplace(begin, end);
}

void KnownBytes::remove(const std::byte* pointer, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (ranges_.empty() || bytes <= 0) return;
  const uintptr_t begin = address(pointer);
  const uintptr_t end = begin + static_cast<uintptr_t>(bytes);
  auto it = ranges_.upper_bound(begin);
  if (it != ranges_.begin() && std::prev(it)->second > begin) --it;
  while (it != ranges_.end() && it->first < end) {
    const auto [first, last] = *it;
    it = ranges_.erase(it);
    if (first < begin) ranges_.emplace(first, begin);
    if (last > end) ranges_.emplace(end, last);
  }
}

void KnownBytes::clear() {
  const std::lock_guard lock(mutex_);
  ranges_.clear();
}

bool KnownBytes::contains(const std::byte* pointer, int64_t bytes) const {
  const uintptr_t begin = address(pointer);
  const std::lock_guard lock(mutex_);
  const auto it = ranges_.upper_bound(begin);
  return it != ranges_.begin() && std::prev(it)->second >= begin + static_cast<uintptr_t>(bytes);
}

}  // namespace npu::sim

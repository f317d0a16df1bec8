// Which addresses of a device's memory are allocated: offsets only, no mapping.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace npu::sdk {

// Addresses reach further than the capacity: fragmentation hardly ever makes an allocation fail
// that the capacity admits, and what a reset ended is not handed out again soon, so that stale
// pointers are recognised. Not thread-safe.
class AddressSpace {
 public:
  // All in bytes; allocations start on multiples of `row`.
  AddressSpace(int64_t capacity, int64_t span, int64_t row);

  struct Allocation {
    int64_t offset;
    int64_t size;      // as asked for
    int64_t reserved;  // rounded up to whole rows, at least one
    bool contains(int64_t at) const { return at >= offset && (at < offset + size || at == offset); }
  };

  // None if the capacity does not admit it.
  std::optional<Allocation> allocate(int64_t bytes);
  std::optional<Allocation> release(int64_t offset);  // none unless an allocation starts there
  // Ends all allocations. Their addresses are stale until all others have been used.
  void reset();

  std::optional<Allocation> find(int64_t at) const;
  // The allocation with the least distance from `at`.
  std::optional<Allocation> nearest(int64_t at) const;
  bool is_stale(int64_t at) const { return at >= stale_begin_ && at < stale_end_ && !find(at); }

  int64_t capacity() const { return capacity_; }
  int64_t used() const { return used_; }

 private:
  void insert_free(int64_t offset, int64_t size);
  void erase_free(std::map<int64_t, int64_t>::iterator range);
  std::optional<int64_t> take(int64_t reserved, int64_t alignment);

  int64_t capacity_;
  int64_t span_;
  int64_t row_;
  int64_t used_ = 0;
  int64_t top_ = 0;  // no address at or above it was handed out since the addresses wrapped around
  int64_t stale_begin_ = 0;
  int64_t stale_end_ = 0;
  std::map<int64_t, Allocation> live_;                // by offset
  std::map<int64_t, int64_t> free_;                   // offset to size, neighbours merged
  std::set<std::pair<int64_t, int64_t>> free_sizes_;  // (size, offset)
};

}  // namespace npu::sdk

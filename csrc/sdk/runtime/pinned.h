// Host memory that npuHostAlloc() gave: copies may read and write it when their turn comes.
#pragma once

#include <cstddef>
#include <optional>

namespace npu::sdk {

struct PinnedRange {
  void* base;
  size_t size;
};
std::optional<PinnedRange> find_pinned(const void* pointer);
// Whether all of [pointer, pointer + bytes) is pinned.
bool is_pinned(const void* pointer, size_t bytes);

}  // namespace npu::sdk

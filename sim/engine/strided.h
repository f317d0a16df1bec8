// Copies between two strided arrays of the same shape: what DMAs and rearrangements are made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sim/isa/program.h"

namespace npu::sim {

// Row dimensions, column dimensions: a tile's side of a DMA has as many as the transfer.
struct StridedShape {
  int dims = 0;
  std::array<int64_t, kMaxDims> size = {};        // elements, outermost first
  std::array<int64_t, kMaxDims> dst_stride = {};  // bytes; may be zero or negative
  std::array<int64_t, kMaxDims> src_stride = {};

  void add(int64_t count, int64_t dst_bytes, int64_t src_bytes) {
    size[dims] = count;
    dst_stride[dims] = dst_bytes;
    src_stride[dims] = src_bytes;
    ++dims;
  }
};

// Elements of 1, 2, 4 or 8 bytes. The two sides do not overlap. With `stream`, long runs go past
// the host's caches, and other threads see them after a store fence.
void copy_strided(const StridedShape& shape, int element_bytes, std::byte* dst,
                  const std::byte* src, bool stream = false);

// A copy that goes past the host's caches; other threads see it after a store fence.
void stream_copy(std::byte* dst, const std::byte* src, size_t bytes);

// Drops dimensions of size 1 and merges those that both sides step through as one.
// Returns false if there is nothing to do because a size is 0.
bool normalize(StridedShape& shape);

}  // namespace npu::sim

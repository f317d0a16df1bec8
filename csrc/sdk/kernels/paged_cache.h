// Where the slots of a paged KV cache lie: [blocks, slots of a block, KV heads, head dimension],
// of any strides but the last, which is 1.
#pragma once

#include <string>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/arguments.h"
#include "npu/kernels/tensor.h"

namespace npu::kernels {

// Blocks and slots are so many granules apart, the largest number of elements that divides both
// strides: a gather or scatter by granules tells the machine which bursts its rows begin at.
class PagedCache {
 public:
  // Declares the arguments of pass_paged_cache().
  PagedCache(sdk::Builder& builder, const std::string& name);

  // Makes `index` the granules from the cache's pointer to slots of blocks; i64, like `scratch`.
  void locate(const sdk::Tile& index, const sdk::Tile& block, const sdk::Tile& slot,
              const sdk::Tile& scratch) const;

  const sdk::Value& granule() const { return granule_; }
  const sdk::Value& head_stride() const { return head_stride_; }
  const sdk::Value& slot_stride() const { return slot_stride_; }

 private:
  sdk::Builder& builder_;
  sdk::Value granule_;
  sdk::Value block_granules_;
  sdk::Value slot_granules_;
  sdk::Value slot_stride_;
  sdk::Value head_stride_;
};

void pass_paged_cache(Arguments& args, const Tensor& cache);

}  // namespace npu::kernels

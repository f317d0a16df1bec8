#include "csrc/sdk/kernels/paged_cache.h"

#include <algorithm>
#include <numeric>

#include "csrc/sdk/kernels/builder_names.h"

namespace npu::kernels {

PagedCache::PagedCache(Builder& builder, const std::string& name)
    : builder_(builder),
      granule_(builder.integer(name + "_granule")),
      block_granules_(builder.integer(name + "_block_granules")),
      slot_granules_(builder.integer(name + "_slot_granules")),
      slot_stride_(builder.integer(name + "_slot_stride")),
      head_stride_(builder.integer(name + "_head_stride")) {}

void PagedCache::locate(const Tile& index, const Tile& block, const Tile& slot,
                        const Tile& scratch) const {
  builder_.vector(BinaryFn::mul, scratch, slot, slot_granules_);
  builder_.vector(TernaryFn::fma, index, block, block_granules_, scratch);
}

void pass_paged_cache(Arguments& args, const Tensor& cache) {
  const int64_t block = cache.strides[0];
  const int64_t slot = cache.strides[1];
  const int64_t granule = std::max<int64_t>(std::gcd(block, slot), 1);
  args.integer(granule);
  args.integer(block / granule);
  args.integer(slot / granule);
  args.integer(slot);
  args.integer(cache.strides[2]);
}

}  // namespace npu::kernels

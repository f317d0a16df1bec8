// What one DMA asks of its queue, the network and the memory.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/exec/cursor.h"
#include "sim/timing/hbm.h"

namespace npu::sim {

// The bytes that the DMA touches in memory, in the fewest and longest contiguous runs: dimensions
// may come in any order and direction, since the DMA rearranges on its way. A dimension of stride 0
// right outside the run repeats it unfetched.
Footprint footprint(const Prepared& prepared, const Step& step);

struct TransferCost {
  uint64_t queue_cycles = 0;  // set-up and bytes through the queue, bursts whole
  HbmAccess memory;
};
TransferCost transfer_cost(const Prepared& prepared, const Hbm& hbm, const Step& step);

// The steps' costs, reckoned once for each instruction, shape and place in a row: most DMAs of a
// program look like one before.
class TransferCosts {
 public:
  TransferCosts(const Prepared& prepared, const Hbm& hbm);

  const TransferCost& of(const Step& step);

 private:
  static constexpr size_t kPlaces =
      16;  // remembered for each instruction, by the bits of its place
  struct Entry {
    int64_t place = -1;
    int64_t bytes = 0;
    int64_t index_stride = 0;
    std::array<int64_t, kMaxDims> size;
    std::array<int64_t, kMaxDims> stride;
    TransferCost cost;
  };
  const Prepared* prepared_;
  const Hbm* hbm_;
  int64_t place_mask_;
  int place_shift_;              // to the highest bits that say where in a row
  std::vector<uint32_t> first_;  // entry of each instruction that is a DMA
  std::vector<Entry> entries_;
};

}  // namespace npu::sim

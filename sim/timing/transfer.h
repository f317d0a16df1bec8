// What one DMA asks of its queue, the network and the memory.
#pragma once

#include <cstdint>

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

// The steps' costs, reckoned once for each instruction, shape and alignment: most DMAs of a program
// look like the one before.
class TransferCosts {
 public:
  TransferCosts(const Prepared& prepared, const Hbm& hbm);

  const TransferCost& of(const Step& step);

 private:
  struct Entry {
    std::array<int64_t, 2 * kMaxDims + 3> key;
    TransferCost cost;
    bool valid = false;
  };
  const Prepared* prepared_;
  const Hbm* hbm_;
  int64_t alignment_mask_;
  std::vector<Entry> entries_;  // by instruction
};

}  // namespace npu::sim

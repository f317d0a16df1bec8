// Consecutive stages of a chain as one compiled function.
#pragma once

#include <array>
#include <span>

#include "sim/engine/jit/fused_code.h"
#include "sim/engine/stage.h"

namespace npu::sim {

class FusedStages {
 public:
  // `stages` are the chain's from number `first` on, of `rows` rows; they outlive this. What lies
  // about `ahead` bytes behind the sources is fetched meanwhile. False where there is no code.
  bool prepare(FusedCache& cache, std::span<const Stage> stages, size_t first, int64_t rows,
               int64_t ahead);
  void run(const Block& block) const;

 private:
  // Of a memory: how its line follows from the block.
  struct Memory {
    Place place;
    bool row;  // the same line for all rows
  };
  struct Broadcast {
    const float* value;
    int64_t step;  // from row to row
  };

  bool describe(std::span<const Stage> stages, size_t first, int64_t rows, FusedProgram& program);
  // Its number, or -1 if there are too many.
  int memory(FusedProgram& program, const Place& place, bool row);
  int broadcast(const Broadcast& broadcast);

  // Set by prepare(), as is what they count.
  FusedFunction function_;
  int memories_;
  int broadcasts_;
  std::array<Memory, kFusedMemories> memory_;
  std::array<Broadcast, kFusedBroadcasts> broadcast_;
};

}  // namespace npu::sim

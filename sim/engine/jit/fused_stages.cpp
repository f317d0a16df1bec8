#include "sim/engine/jit/fused_stages.h"

#include <bit>

namespace npu::sim {
namespace {

constexpr uintptr_t kLine = 64;

// Does every line of blocks that start at multiples of a line begin at one of the host's?
bool aligned(const Place& place, int64_t rows) {
  return reinterpret_cast<uintptr_t>(place.data) % kLine == 0 &&
         (rows == 1 || static_cast<uintptr_t>(place.ld * size_of(place.dtype)) % kLine == 0);
}

}  // namespace

int FusedStages::memory(FusedProgram& program, const Place& place, bool row) {
  for (int i = 0; i < memories_; ++i) {
    const Place& known = memory_[i].place;
    if (known.data == place.data && known.ld == place.ld && known.dtype == place.dtype &&
        memory_[i].row == row) {
      return i;
    }
  }
  if (memories_ == kFusedMemories) return -1;
  memory_[memories_] = {place, row};
  program.memory[memories_] = place.dtype;
  return memories_++;
}

int FusedStages::broadcast(const Broadcast& broadcast) {
  for (int i = 0; i < broadcasts_; ++i) {
    if (broadcast_[i].value == broadcast.value && broadcast_[i].step == broadcast.step) return i;
  }
  if (broadcasts_ == kFusedBroadcasts) return -1;
  broadcast_[broadcasts_] = broadcast;
  return broadcasts_++;
}

bool FusedStages::describe(std::span<const Stage> stages, size_t first, int64_t rows,
                           FusedProgram& program) {
  for (const Stage& stage : stages) {
    FusedStep& step = program.step[program.steps++];
    step.op = stage.op;
    step.fn = stage.fn;
    step.type = stage.out.dtype;
    for (int i = 0; i < stage.sources; ++i) {
      const Source& source = stage.source[i];
      FusedOperand& operand = step.operands[i];
      int index = 0;
      if (source.link >= static_cast<int>(first) && source.kind == Source::kFull) {
        operand.kind = FusedOperand::kStep;
        index = source.link - static_cast<int>(first);
      } else if (source.kind == Source::kFull || source.kind == Source::kRow) {
        operand.kind = FusedOperand::kMemory;
        index = memory(program, source.place, source.kind == Source::kRow);
      } else {
        operand.kind = FusedOperand::kBroadcast;
        const bool column = source.kind == Source::kColumn;
        index = broadcast(
            {reinterpret_cast<const float*>(
                 column ? source.place.data : reinterpret_cast<const std::byte*>(&source.value)),
             column ? source.place.ld : 0});
      }
      if (index < 0) return false;
      operand.index = static_cast<uint8_t>(index);
    }
    if (!stage.stored) continue;
    step.result = static_cast<int8_t>(memory(program, stage.out, false));
    if (step.result < 0) return false;
    step.stream = stage.stream && aligned(stage.out, rows);
  }
  program.memories = memories_;
  program.broadcasts = broadcasts_;
  return true;
}

bool FusedStages::prepare(FusedCache& cache, std::span<const Stage> stages, size_t first,
                          int64_t rows, int64_t ahead) {
  FusedProgram program;
  // One of few distances, since each has code of its own.
  program.prefetch = ahead > 0 ? static_cast<int>(std::bit_ceil(static_cast<uint64_t>(ahead))) : 0;
  memories_ = broadcasts_ = 0;
  function_ = describe(stages, first, rows, program) ? cache.find(program) : nullptr;
  return function_ != nullptr;
}

void FusedStages::run(const Block& block) const {
  bool whole = true;
  for (int i = 0; i < memories_; ++i) {
    whole &= block.rows == 1 || (!memory_[i].row && memory_[i].place.contiguous(block));
  }
  for (int i = 0; i < broadcasts_; ++i) whole &= block.rows == 1 || broadcast_[i].step == 0;
  const int64_t lines = whole ? 1 : block.rows;
  FusedLine line;
  line.elements = whole ? block.rows * block.cols : block.cols;
  for (int64_t i = 0; i < lines; ++i) {
    for (int m = 0; m < memories_; ++m) {
      const Place& place = memory_[m].place;
      line.memory[m] =
          memory_[m].row ? place.data + block.col * size_of(place.dtype) : place.row(block, i);
    }
    for (int b = 0; b < broadcasts_; ++b) {
      line.broadcast[b] = broadcast_[b].value + (block.row + i) * broadcast_[b].step;
    }
    function_(&line);
  }
}

}  // namespace npu::sim

// A launch made ready to run: checked, its tiles placed and its values laid out.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/exec/launch.h"

namespace npu::sim {

// A physical tile buffer: what the scoreboard and the scratchpad know.
using BufferId = uint16_t;
inline constexpr BufferId kNoBuffer = 0xffff;

// The value file and the physical layout that all program ids of a launch share.
class Prepared {
 public:
  Prepared(const Machine& machine, const Launch& launch);  // check_launch() included

  const Machine& machine() const { return *machine_; }
  const Launch& launch() const { return *launch_; }
  const Program& program() const { return *launch_->program; }
  // That programs are dealt to in turn.
  int cores() const { return machine_->cores_in_clusters(program().cluster.size()); }
  int buffer_count() const { return static_cast<int>(buffers_.size()); }

  struct PhysicalBuffer {
    TileId tile;
    DType dtype;
    int64_t offset;    // bytes into the scratchpad
    int64_t capacity;  // elements
  };
  const PhysicalBuffer& buffer(BufferId id) const { return buffers_[id]; }
  BufferId first_buffer(TileId tile) const { return first_[tile]; }
  const std::vector<int64_t>& values() const { return values_; }

 private:
  const Machine* machine_;
  const Launch* launch_;
  std::vector<PhysicalBuffer> buffers_;
  std::vector<BufferId> first_;
  std::vector<int64_t> values_;  // registers zero, then pid, grid, args, constants
};

}  // namespace npu::sim

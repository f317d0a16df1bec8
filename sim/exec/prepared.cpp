#include "sim/exec/prepared.h"

namespace npu::sim {

Prepared::Prepared(const Machine& machine, const Launch& launch)
    : machine_(&machine), launch_(&launch) {
  check_launch(machine, launch);
  const Program& program = *launch.program;
  int64_t offset = 0;
  for (TileId tile = 0; tile < program.tiles.size(); ++tile) {
    const TileDecl& declaration = program.tiles[tile];
    first_.push_back(static_cast<BufferId>(buffers_.size()));
    for (int i = 0; i < declaration.buffers; ++i) {
      buffers_.push_back({tile, declaration.dtype, offset, declaration.capacity});
      offset += buffer_bytes(declaration);
    }
  }
  values_.resize(kConstantSlot + program.constants.size());
  values_[kGridSlot] = launch.grid;
  for (size_t i = 0; i < launch.args.size(); ++i) values_[kArgSlot + i] = launch.args[i].bits;
  for (size_t i = 0; i < program.constants.size(); ++i) {
    values_[kConstantSlot + i] = program.constants[i].bits;
  }
}

}  // namespace npu::sim

// Which reads of a tile are its contents' last.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/isa/program.h"

namespace npu::sim {

// For each instruction, bit i: on every way on from there, what the tile of src[i] holds is
// overwritten or forgotten before it is read. Jumps must have been set.
std::vector<uint8_t> last_reads_of(const Program& program);

}  // namespace npu::sim

// Which numbers passed to a program its time may depend on.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/isa/program.h"

namespace npu::sim {

// For each argument, 1 where it may reach a loop count, a condition, a shape, a size, a stride or
// an address; 0 where vector instructions only compute with it or draw from it: scale factors, fill
// values, seeds. Pointers are 1.
std::vector<uint8_t> steering_arguments_of(const Program& program);

}  // namespace npu::sim

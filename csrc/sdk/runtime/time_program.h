// How long a program would take, without a device and without data: for tools.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/timing/timer.h"

namespace npu::sdk {

// A pointer argument to an allocation of `bytes` bytes that nobody backs.
sim::Arg unbacked(int64_t bytes);

// `args` in the order of the program's declarations. Throws MachineError, kPoison for programs that
// loaded integers steer.
sim::Timing time_program(const sim::Machine& machine, const sim::Program& program, int64_t grid,
                         std::vector<sim::Arg> args);

}  // namespace npu::sdk

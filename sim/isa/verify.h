// finalize() with a caller's own way to say where an instruction stands.
#pragma once

#include <functional>
#include <string>

#include "sim/isa/program.h"

namespace npu::sim {

// Called with an instruction's number: "instruction 12 (v.add)", "line 30".
using Locate = std::function<std::string(size_t)>;

void finalize(Program& program, const Locate& locate);

// "instruction 12 (v.add)"
std::string describe(const Program& program, size_t instruction);

}  // namespace npu::sim

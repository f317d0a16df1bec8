// The text form of tile programs. docs/isa.md has the grammar and a commented sample.
#pragma once

#include <string>
#include <string_view>

#include "sim/isa/program.h"

namespace npu::sim {

// Returns a finalized program. Throws MachineError (kAssembly) naming line and column.
Program assemble(std::string_view text);

// assemble(disassemble(p)) == p, and disassemble(assemble(disassemble(p))) is the same text.
std::string disassemble(const Program& program);
std::string disassemble(const Program& program, const Instruction& instruction);

}  // namespace npu::sim

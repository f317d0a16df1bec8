// What operands each opcode takes, in the order in which the text form writes them. The verifier,
// the assembler and the disassembler all follow this one table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sim/isa/program.h"

namespace npu::sim {

enum class Role : uint8_t {
  kDst,          // tile dst
  kDst2,         // tile dst2
  kTile,         // tile src[index]
  kIndexTile,    // tile src[index], of an integer type
  kTileOrValue,  // tile src[index], or scalar s[index]
  kRegister,     // register s[index], written
  kInteger,      // scalar s[index]
  kReal,         // scalar s[index]
  kValue,        // scalar s[index]: real or integer as the instruction's elements are
  kAny,          // scalar s[index] of either kind
  kOptional,     // integer s[index], or nothing
  kShape,        // integers s[index] and s[index + 1], written (rows, cols)
  kMemory,       // pointer argument `buffer` and an integer element offset s[index]: x[r0]
  kAccess,       // sizes and strides of a DMA: (rows | columns):(row strides | column strides)
};

struct Operand {
  Role role;
  uint8_t index = 0;
};

struct Form {
  uint16_t flags = 0;  // those that the opcode takes
  bool dtype = false;  // the mnemonic names an element type
  std::span<const Operand> operands;
};

// Scalar functions and the vector families differ by function, hence the second argument.
Form form_of(Opcode op, uint8_t fn);

struct FlagName {
  uint16_t flag;
  std::string_view suffix;  // of the mnemonic, without the dot
};
// In the order in which a mnemonic carries them.
std::span<const FlagName> flag_names();

// Do the instruction's kValue operands hold reals? They do as soon as one tile is floating.
bool takes_reals(const Program& program, const Instruction& instruction);

// What a scalar operand may change of the time that the instruction, or what follows, takes.
enum class Steers : uint8_t {
  kTime,      // a count, a condition, a shape, a size, a stride
  kAddress,   // where in a row of the memory a transfer begins
  kPosition,  // nothing: where in a tile something lies, which may be outside of it
};

// Calls f(slot, Steers) for the scalar operands of anything but scalar arithmetic. Those that
// vector instructions only compute with or draw from are not among them.
template <class F>
void for_each_steering_operand(const Instruction& inst, F&& f) {
  for (const Operand& operand : form_of(inst.op, inst.fn).operands) {
    const size_t i = operand.index;
    switch (operand.role) {
      case Role::kShape:
        f(inst.s[i], Steers::kTime);
        f(inst.s[i + 1], Steers::kTime);
        break;
      case Role::kOptional:
        f(inst.s[i], Steers::kTime);
        break;
      case Role::kMemory:
        f(inst.s[i], Steers::kAddress);
        break;
      case Role::kAccess:
        for (size_t dim = 0; dim < inst.ndim; ++dim) {
          f(inst.s[kDmaSizes + dim], Steers::kTime);
          f(inst.s[kDmaStrides + dim], Steers::kTime);
        }
        break;
      case Role::kInteger:
        if (inst.op == Opcode::v_random) break;  // seed and counter
        f(inst.s[i], inst.op == Opcode::v_slice || inst.op == Opcode::v_insert ? Steers::kPosition
                                                                               : Steers::kTime);
        break;
      default:
        break;  // tiles, and numbers that vector instructions compute with
    }
  }
}

// Is the name kept for something else in the text form: r0 to r63, inf, nan?
bool is_reserved_name(std::string_view name);

}  // namespace npu::sim

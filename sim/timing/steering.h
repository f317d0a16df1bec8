// Which values of a program steer its time, so that two program ids can be told to take the same.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/exec/cursor.h"

namespace npu::sim {

// A program begins with scalar instructions (its prologue), which are cheap to execute for any
// program id. What follows takes the same time for two program ids where the values that steer it
// are equal at its start: those that reach loop counts, conditions, shapes, sizes or strides must
// be equal, those that only reach addresses must be equal in the lower bits that decide where in a
// row of the memory the address lies.
//
// Which values those are is found backwards from every instruction's operands, as compilers find
// the registers that are live.
class Steering {
 public:
  explicit Steering(const Prepared& prepared);

  // Can two program ids be equal at all? Not where the id itself steers what follows the prologue.
  bool possible() const { return possible_; }

  // Of program `pid`: equal numbers, equal times (with a collision in 2^64).
  uint64_t class_of(int64_t pid);
  // Appends what of the program's values steers it from instruction `pc` on, where it stands.
  void append_values(const Cursor& cursor, uint32_t pc, std::vector<uint64_t>& words);

 private:
  // How many lower bits of each register, and of %pid, steer what follows.
  using Bits = std::array<uint8_t, kRegisterCount + 1>;

  void analyse(const Program& program);
  Bits before(const Instruction& inst, const Bits& after) const;
  void need_sources(const Instruction& inst, int bits, Bits& needed) const;
  void need_operands(const Instruction& inst, Bits& needed) const;
  int offset_bits(const Instruction& inst) const;

  const Prepared* prepared_;
  Cursor cursor_;
  uint32_t prologue_ = 0;     // instructions
  std::vector<Bits> needed_;  // before each instruction
  bool possible_ = false;
};

}  // namespace npu::sim

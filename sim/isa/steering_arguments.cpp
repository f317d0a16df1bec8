#include "sim/isa/steering_arguments.h"

#include <cstddef>

#include "sim/isa/form.h"

namespace npu::sim {
namespace {

// Slots whose values steer: a register counts wherever it holds one.
class Steering {
 public:
  explicit Steering(const Program& program) : steers_(kConstantSlot + program.constants.size(), 0) {
    for (const Instruction& inst : program.code) add_operands(inst);
    for (bool changed = true; changed;) {
      changed = false;
      for (const Instruction& inst : program.code) changed |= add_sources(inst);
    }
  }

  bool has(size_t slot) const { return steers_[slot] != 0; }

 private:
  bool add(Slot slot) {
    if (slot == kNoSlot || steers_[slot] != 0) return false;
    steers_[slot] = 1;
    return true;
  }

  void add_operands(const Instruction& inst) {
    if (inst.op == Opcode::s_alu) {
      const auto fn = static_cast<ScalarFn>(inst.fn);
      if (fn == ScalarFn::div || fn == ScalarFn::mod) add(inst.s[2]);  // 0 ends the launch
      return;
    }
    if (inst.op == Opcode::s_select) return;
    // Positions, too: one outside its tile ends the launch.
    for_each_steering_operand(inst, [&](Slot slot, Steers) { add(slot); });
  }

  // What is computed from steers where the result does.
  bool add_sources(const Instruction& inst) {
    const bool select = inst.op == Opcode::s_select;
    if ((inst.op != Opcode::s_alu && !select) || steers_[inst.s[0]] == 0) return false;
    bool changed = add(inst.s[1]) | add(inst.s[2]);
    if (select) changed |= add(inst.s[3]);
    return changed;
  }

  std::vector<uint8_t> steers_;
};

}  // namespace

std::vector<uint8_t> steering_arguments_of(const Program& program) {
  const Steering steering(program);
  std::vector<uint8_t> arguments(program.args.size(), 1);
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (program.args[i].kind != ArgKind::pointer) arguments[i] = steering.has(kArgSlot + i);
  }
  return arguments;
}

}  // namespace npu::sim

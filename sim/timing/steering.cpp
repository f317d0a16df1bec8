#include "sim/timing/steering.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "sim/isa/form.h"

namespace npu::sim {
namespace {

bool is_scalar(const Instruction& inst) {
  return inst.op == Opcode::s_alu || inst.op == Opcode::s_select;
}

constexpr int kAllBits = 64;
static_assert(kPidSlot == kRegisterCount);

template <class Bits>
void need(Bits& needed, Slot slot, int bits) {
  if (slot > kPidSlot) return;  // the same for all programs
  needed[slot] = std::max(needed[slot], static_cast<uint8_t>(bits));
}

uint64_t lower(int64_t value, int bits) {
  const auto word = static_cast<uint64_t>(value);
  return bits >= kAllBits ? word : word & ((uint64_t{1} << bits) - 1);
}

uint64_t mix(uint64_t hash, uint64_t value) {
  const auto product = static_cast<unsigned __int128>(hash ^ value) * 0x9e3779b97f4a7c15u;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ (hash << 1);
}

}  // namespace

Steering::Steering(const Prepared& prepared) : prepared_(&prepared), cursor_(prepared) {
  const Program& program = prepared.program();
  if (program.has_scalar_loads) return;
  analyse(program);
  possible_ = needed_[prologue_][kPidSlot] < kAllBits;
}

void Steering::analyse(const Program& program) {
  const auto& code = program.code;
  while (is_scalar(code[prologue_])) ++prologue_;
  needed_.resize(code.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t pc = code.size(); pc-- > prologue_;) {
      const Instruction& inst = code[pc];
      Bits after = {};
      const auto follow = [&](size_t next) {
        for (size_t slot = 0; slot < after.size(); ++slot) {
          after[slot] = std::max(after[slot], needed_[next][slot]);
        }
      };
      if (inst.op != Opcode::exit && inst.op != Opcode::else_) follow(pc + 1);
      switch (inst.op) {
        case Opcode::endloop:
          follow(inst.jump + 1);
          break;
        case Opcode::loop:
        case Opcode::break_if:
        case Opcode::if_:
        case Opcode::else_:
          follow(inst.jump);
          break;
        default:
          break;
      }
      const Bits now = before(inst, after);
      changed |= now != needed_[pc];
      needed_[pc] = now;
    }
  }
}

Steering::Bits Steering::before(const Instruction& inst, const Bits& after) const {
  Bits needed = after;
  if (is_scalar(inst)) {
    const int bits = std::exchange(needed[inst.s[0]], uint8_t{0});
    if (bits > 0) need_sources(inst, bits, needed);
  } else {
    if (inst.op == Opcode::loop) needed[inst.s[0]] = 0;
    need_operands(inst, needed);
  }
  return needed;
}

// The lower bits of sums and products come from those of their operands.
void Steering::need_sources(const Instruction& inst, int bits, Bits& needed) const {
  const auto& s = inst.s;
  if (inst.op == Opcode::s_select) {
    need(needed, s[1], kAllBits);
    need(needed, s[2], bits);
    need(needed, s[3], bits);
    return;
  }
  const auto fn = static_cast<ScalarFn>(inst.fn);
  if (scalar_operands(fn) == 1) return need(needed, s[1], fn == ScalarFn::mov ? bits : kAllBits);
  int first = kAllBits;
  int second = kAllBits;
  if (fn == ScalarFn::add || fn == ScalarFn::sub) {
    first = second = bits;
  } else if (fn == ScalarFn::mul && bits < kAllBits) {
    // A factor that is the same for all programs moves the other's bits up.
    const auto left = [&](Slot other) {
      if (other <= kPidSlot) return bits;
      const auto factor = static_cast<uint64_t>(prepared_->values()[other]);
      return std::max(0, bits - std::countr_zero(factor));
    };
    first = left(s[2]);
    second = left(s[1]);
  }
  need(needed, s[1], first);
  need(needed, s[2], second);
}

// How many bits of an element offset say where in a row it is.
int Steering::offset_bits(const Instruction& inst) const {
  DType type = inst.dtype;
  if (inst.op == Opcode::d_load || inst.op == Opcode::d_gather) {
    type = prepared_->program().tiles[inst.dst].dtype;
  } else if (inst.op == Opcode::d_store || inst.op == Opcode::d_scatter) {
    type = prepared_->program().tiles[inst.src[0]].dtype;
  }
  const int elements = prepared_->machine().hbm.row_bytes / static_cast<int>(size_of(type));
  return std::countr_zero(static_cast<unsigned>(elements));
}

void Steering::need_operands(const Instruction& inst, Bits& needed) const {
  for_each_steering_operand(inst, [&](Slot slot, Steers what) {
    if (what == Steers::kPosition) return;
    need(needed, slot, what == Steers::kAddress ? offset_bits(inst) : kAllBits);
  });
}

uint64_t Steering::class_of(int64_t pid) {
  cursor_.start_scalars(pid, prologue_);
  uint64_t hash = 0x243f6a8885a308d3;
  for (size_t slot = 0; slot <= kPidSlot; ++slot) {
    const int bits = needed_[prologue_][slot];
    if (bits > 0) hash = mix(hash, lower(cursor_.value_of(static_cast<Slot>(slot)), bits));
  }
  return hash;
}

void Steering::append_values(const Cursor& cursor, uint32_t pc, std::vector<uint64_t>& words) {
  if (pc < prologue_) {
    words.push_back(class_of(cursor.pid()));
    return;
  }
  for (size_t slot = 0; slot <= kPidSlot; ++slot) {
    const int bits = needed_[pc][slot];
    if (bits > 0) words.push_back(lower(cursor.value_of(static_cast<Slot>(slot)), bits));
  }
}

}  // namespace npu::sim

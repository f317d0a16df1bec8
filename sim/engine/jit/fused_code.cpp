#include "sim/engine/jit/fused_code.h"

#include <xbyak/xbyak.h>

#include <array>
#include <bit>
#include <cstddef>
#include <optional>
#include <vector>

#include "sim/engine/jit/vector_code.h"

namespace npu::sim {
namespace {

using Xbyak::Address;
using Xbyak::Reg64;
using Xbyak::Zmm;

// Thrown where a program needs more registers than there are.
struct TooLarge {};

// Vector registers that nobody holds.
class Registers {
 public:
  int take() {
    if (free_ == 0) throw TooLarge();
    const int number = std::countr_zero(free_);
    free_ &= free_ - 1;
    return number;
  }
  void give_back(int number) { free_ |= 1u << number; }

 private:
  uint32_t free_ = ~0u;
};

class Emitter : public Xbyak::CodeGenerator {
 public:
  explicit Emitter(const FusedProgram& program)
      : Xbyak::CodeGenerator(4096, Xbyak::AutoGrow), program_(program) {
    find_uses();
    emit();
    ready(Xbyak::CodeArray::PROTECT_RE);
    aside_.clear();
  }

 private:
  // Pointers to memories; those from the sixth on are the caller's and get their values back.
  Reg64 pointer(int memory) const {
    const std::array<Reg64, kFusedMemories> registers = {rsi, r8,  r9,  r10, r11, rbx,
                                                         rbp, r12, r13, r14, r15};
    return registers[static_cast<size_t>(memory)];
  }
  static constexpr int kScratchPointers = 5;

  void find_uses() {
    last_use_.fill(-1);
    last_load_.fill(-1);
    for (int s = 0; s < program_.steps; ++s) {
      const FusedStep& step = program_.step[s];
      for (const FusedOperand& operand : step.operands) {
        if (operand.kind == FusedOperand::kStep) last_use_[operand.index] = s;
        if (operand.kind == FusedOperand::kMemory) last_load_[operand.index] = s;
      }
      uses_erf_ |= step.op == Opcode::v_unary && static_cast<UnaryFn>(step.fn) == UnaryFn::erf;
    }
  }

  void emit() {
    Xbyak::Label pool;
    Xbyak::Label erf_pool;
    Xbyak::Label loop;
    Xbyak::Label rest;
    Xbyak::Label done;
    for (int m = kScratchPointers; m < program_.memories; ++m) push(pointer(m));
    lea(pool_pointer_, ptr[rip + pool]);
    for (int b = 0; b < program_.broadcasts; ++b) {
      broadcast_[b] = registers_.take();
      mov(index_, ptr[line_ + offsetof(FusedLine, broadcast) + sizeof(void*) * b]);
      vbroadcastss(Zmm(broadcast_[b]), ptr[index_]);
    }
    if (uses_erf_) {
      lea(index_, ptr[rip + erf_pool]);
      for (size_t i = 0; i < erf_.size(); ++i) {
        erf_[i] = registers_.take();
        vmovups(Zmm(erf_[i]), ptr[index_ + static_cast<int>(i) * kVectorBytes]);
      }
    }
    for (int m = 0; m < program_.memories; ++m) {
      mov(pointer(m), ptr[line_ + offsetof(FusedLine, memory) + sizeof(void*) * m]);
    }
    mov(left_, ptr[line_ + offsetof(FusedLine, elements)]);
    xor_(index_, index_);
    const Registers free = registers_;
    sub(left_, kFusedLanes);
    jl(rest, T_NEAR);
    align(32);
    L(loop);
    emit_vector(false);
    add(index_, kFusedLanes);
    sub(left_, kFusedLanes);
    jge(loop, T_NEAR);
    L(rest);
    add(left_, kFusedLanes);
    jz(done, T_NEAR);
    mov(line_.cvt32(), 1);
    shl(line_.cvt32(), cl);
    dec(line_.cvt32());
    kmovd(k1, line_.cvt32());
    registers_ = free;
    emit_vector(true);
    L(done);
    for (int m = program_.memories - 1; m >= kScratchPointers; --m) pop(pointer(m));
    vzeroupper();
    ret();
    for (const auto& write : aside_) write();
    align(kVectorBytes);
    L(pool);
    for (const uint32_t bits : pool_.words()) dd(bits);
    if (!uses_erf_) return;
    align(kVectorBytes);
    L(erf_pool);
    for (const auto& row : erf_table().coefficient) {
      for (const float value : row) dd(std::bit_cast<uint32_t>(value));
    }
  }

  void emit_vector(bool tail) {
    VectorCode::Own own = {{}, k2, k3, tail, k1};
    for (int& temporary : own.temporaries) temporary = registers_.take();
    VectorCode code(*this, pool_, aside_, erf_, own);
    std::array<int, kFusedSteps> value;
    std::array<int, kFusedMemories> loaded;
    loaded.fill(-1);
    const auto at = [&](int memory, int ahead) {
      const int size = size_of(program_.memory[memory]);
      return ptr[pointer(memory) + index_ * size + ahead];
    };
    const auto read = [&](const FusedOperand& operand) {
      if (operand.kind == FusedOperand::kStep) return Zmm(value[operand.index]);
      if (operand.kind == FusedOperand::kBroadcast) return Zmm(broadcast_[operand.index]);
      int& number = loaded[operand.index];
      if (number < 0) {
        number = registers_.take();
        if (program_.prefetch > 0) prefetcht1(at(operand.index, program_.prefetch));
        code.load(Zmm(number), program_.memory[operand.index], at(operand.index, 0));
      }
      return Zmm(number);
    };
    for (int s = 0; s < program_.steps; ++s) {
      const FusedStep& step = program_.step[s];
      std::array<Zmm, 3> in;
      int count = 0;
      for (const FusedOperand& operand : step.operands) {
        if (operand.kind != FusedOperand::kNone) in[count++] = read(operand);
      }
      value[s] = registers_.take();
      code.compute(step.op, step.fn, Zmm(value[s]), in);
      for (int m = 0; m < program_.memories; ++m) {
        if (last_load_[m] == s) registers_.give_back(loaded[m]);
      }
      for (int p = 0; p < s; ++p) {
        if (last_use_[p] == s) registers_.give_back(value[p]);
      }
      const bool read_later = last_use_[s] >= 0;
      if (step.result >= 0) {
        code.store(step.type, at(step.result, 0), Zmm(value[s]), step.stream, read_later);
      } else {
        code.round(step.type, Zmm(value[s]), read_later);
      }
      if (!read_later) registers_.give_back(value[s]);
    }
  }

  static constexpr int kVectorBytes = kFusedLanes * 4;
  const Reg64 line_ = rdi;
  const Reg64 index_ = rax;  // of the loop's first element
  const Reg64 left_ = rcx;
  const Reg64 pool_pointer_ = rdx;

  const FusedProgram program_;
  ConstantPool pool_{rdx};
  CodeAside aside_;
  Registers registers_;
  bool uses_erf_ = false;
  std::array<int, kFusedSteps> last_use_;
  std::array<int, kFusedMemories> last_load_;
  std::array<int, kFusedBroadcasts> broadcast_;
  ErfRegisters erf_;
};

}  // namespace

bool fuses(Opcode op, uint8_t fn) { return VectorCode::knows(op, fn); }
bool fuses(DType type) { return VectorCode::knows(type); }

FusedKey FusedProgram::key() const {
  FusedKey key;
  uint64_t types = static_cast<uint64_t>(memories) | static_cast<uint64_t>(broadcasts) << 8;
  for (int m = 0; m < memories; ++m) {
    types |= static_cast<uint64_t>(memory[m]) << (16 + 4 * m);
  }
  key.word[key.words++] = types;
  key.word[key.words++] = static_cast<uint64_t>(prefetch);
  for (int s = 0; s < steps; ++s) {
    const FusedStep& each = step[s];
    key.word[key.words++] = static_cast<uint64_t>(each.op) | static_cast<uint64_t>(each.fn) << 8 |
                            static_cast<uint64_t>(each.type) << 16 |
                            static_cast<uint64_t>(each.result + 1) << 24 |
                            static_cast<uint64_t>(each.stream) << 32;
    uint64_t sources = 0;
    for (const FusedOperand& operand : each.operands) {
      sources = sources << 16 | static_cast<uint64_t>(operand.kind) << 8 | operand.index;
    }
    key.word[key.words++] = sources;
  }
  return key;
}

struct FusedCache::Code {
  std::optional<Emitter> emitter;
  FusedFunction function = nullptr;
};

FusedCache::FusedCache() = default;
FusedCache::~FusedCache() = default;
FusedCache::FusedCache(FusedCache&&) noexcept = default;
FusedCache& FusedCache::operator=(FusedCache&&) noexcept = default;

size_t FusedCache::KeyHash::operator()(const FusedKey& key) const {
  size_t hash = key.words;
  for (size_t i = 0; i < key.words; ++i) {
    hash = (hash ^ key.word[i]) * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 32;
  }
  return hash;
}

void FusedCache::bound() {
  if (codes_.size() > kMostPrograms) codes_.clear();
}

FusedFunction FusedCache::find(const FusedProgram& program) {
  const FusedKey key = program.key();
  if (const auto found = codes_.find(key); found != codes_.end()) return found->second->function;
  auto code = std::make_unique<Code>();
  try {
    code->emitter.emplace(program);
    code->function = code->emitter->getCode<FusedFunction>();
  } catch (const TooLarge&) {
    // Remembered as having none.
  } catch (const Xbyak::Error& error) {
    // Hosts may refuse memory for code.
    const int reason = error;
    if (reason != Xbyak::ERR_CANT_ALLOC && reason != Xbyak::ERR_CANT_PROTECT) throw;
  }
  return codes_.emplace(key, std::move(code)).first->second->function;
}

}  // namespace npu::sim

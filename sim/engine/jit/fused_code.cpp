#include "sim/engine/jit/fused_code.h"

#include <xbyak/xbyak.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <vector>

#include "sim/engine/special.h"

namespace npu::sim {
namespace {

using Xbyak::Address;
using Xbyak::Opmask;
using Xbyak::Reg64;
using Xbyak::Zmm;

constexpr int kLanes = 16;
constexpr int kRegisters = 32;
// Registers for the inside of one function; values have the others.
constexpr int kTemporaries = 6;
constexpr int kFirstTemporary = kRegisters - kTemporaries;

// Thrown where a program needs more registers than there are.
struct TooLarge {};

enum Rounding : uint8_t { kNearest = 8, kDown = 9, kUp = 10, kToZero = 11 };
enum Comparison : uint8_t {
  kEqual = 0x00,
  kLess = 0x11,
  kLessEqual = 0x12,
  kUnordered = 0x03,
  kNotEqual = 0x04,
  kGreaterEqual = 0x1d,
  kGreater = 0x1e
};

class Emitter : public Xbyak::CodeGenerator {
 public:
  explicit Emitter(const FusedProgram& program)
      : Xbyak::CodeGenerator(4096, Xbyak::AutoGrow), program_(program) {
    find_uses();
    emit();
    ready(Xbyak::CodeArray::PROTECT_RE);
  }

 private:
  // ---- Registers ----

  // Pointers to memories; those from the fifth on are the caller's and get their values back.
  Reg64 pointer(int memory) const {
    const std::array<Reg64, kFusedMemories> registers = {rsi, r8,  r9,  r10, r11, rbx,
                                                         rbp, r12, r13, r14, r15};
    return registers[static_cast<size_t>(memory)];
  }
  static constexpr int kScratchPointers = 5;
  const Reg64 line_ = rdi;
  const Reg64 index_ = rax;  // of the loop's first element
  const Reg64 left_ = rcx;
  const Reg64 pool_ = rdx;
  const Opmask tail_ = k1;
  const Opmask mask_ = k2;
  const Opmask other_mask_ = k3;

  Zmm temporary(int i) const { return Zmm(kFirstTemporary + i); }

  int take() {
    for (int i = 0; i < kFirstTemporary; ++i) {
      if (taken_ >> i & 1) continue;
      taken_ |= 1u << i;
      return i;
    }
    throw TooLarge();
  }
  void release(int number) { taken_ &= ~(1u << number); }

  // ---- Constants: in a pool behind the code ----

  int constant(uint32_t bits) {
    const auto found = std::ranges::find(constants_, bits);
    if (found == constants_.end()) constants_.push_back(bits);
    return static_cast<int>(std::ranges::find(constants_, bits) - constants_.begin());
  }
  Address all_bits(uint32_t bits) { return ptr_b[pool_ + constant(bits) * 4]; }
  Address all(float value) { return all_bits(std::bit_cast<uint32_t>(value)); }
  void fill(const Zmm& to, float value) {
    vbroadcastss(to, ptr[pool_ + constant(std::bit_cast<uint32_t>(value)) * 4]);
  }

  // ---- Which value dies where ----

  void find_uses() {
    last_use_.fill(-1);
    last_load_.fill(-1);
    for (int s = 0; s < program_.steps; ++s) {
      for (const FusedOperand& operand : program_.step[s].operands) {
        if (operand.kind == FusedOperand::kStep) last_use_[operand.index] = s;
        if (operand.kind == FusedOperand::kMemory) last_load_[operand.index] = s;
      }
      const FusedStep& step = program_.step[s];
      uses_erf_ |= step.op == Opcode::v_unary && static_cast<UnaryFn>(step.fn) == UnaryFn::erf;
    }
  }

  // ---- The loop ----

  void emit() {
    Xbyak::Label pool;
    Xbyak::Label loop;
    Xbyak::Label rest;
    Xbyak::Label done;
    for (int m = kScratchPointers; m < program_.memories; ++m) push(pointer(m));
    lea(pool_, ptr[rip + pool]);
    for (int b = 0; b < program_.broadcasts; ++b) {
      broadcast_[b] = take();
      mov(index_, ptr[line_ + offsetof(FusedLine, broadcast) + sizeof(void*) * b]);
      vbroadcastss(Zmm(broadcast_[b]), ptr[index_]);
    }
    if (uses_erf_) load_erf_table();
    for (int m = 0; m < program_.memories; ++m) {
      mov(pointer(m), ptr[line_ + offsetof(FusedLine, memory) + sizeof(void*) * m]);
    }
    mov(left_, ptr[line_ + offsetof(FusedLine, elements)]);
    xor_(index_, index_);
    sub(left_, kLanes);
    jl(rest, T_NEAR);
    align(32);
    L(loop);
    emit_body(false);
    add(index_, kLanes);
    sub(left_, kLanes);
    jge(loop, T_NEAR);
    L(rest);
    add(left_, kLanes);
    jz(done, T_NEAR);
    mov(line_.cvt32(), 1);
    shl(line_.cvt32(), cl);
    dec(line_.cvt32());
    kmovd(tail_, line_.cvt32());
    emit_body(true);
    L(done);
    for (int m = program_.memories - 1; m >= kScratchPointers; --m) pop(pointer(m));
    vzeroupper();
    ret();
    align(64);
    L(pool);
    for (const uint32_t bits : constants_) dd(bits);
    if (!uses_erf_) return;
    align(64);
    L(erf_pool_);
    for (const auto& row : erf_table().coefficient) {
      for (const float value : row) dd(std::bit_cast<uint32_t>(value));
    }
  }

  void emit_body(bool tail) {
    loaded_.fill(-1);
    const unsigned outside = taken_;
    for (int s = 0; s < program_.steps; ++s) {
      const FusedStep& step = program_.step[s];
      std::array<Zmm, 3> in;
      int count = 0;
      for (const FusedOperand& operand : step.operands) {
        if (operand.kind != FusedOperand::kNone) in[count++] = read(operand, tail);
      }
      const int result = take();
      compute(step, Zmm(result), in);
      for (int m = 0; m < program_.memories; ++m) {
        if (last_load_[m] == s) release(loaded_[m]);
      }
      for (int p = 0; p < s; ++p) {
        if (last_use_[p] == s) release(value_[p]);
      }
      const bool read_later = last_use_[s] >= 0;
      finish(step, Zmm(result), read_later, tail);
      value_[s] = result;
      if (!read_later) release(result);
    }
    taken_ = outside;
  }

  Zmm read(const FusedOperand& operand, bool tail) {
    switch (operand.kind) {
      case FusedOperand::kStep:
        return Zmm(value_[operand.index]);
      case FusedOperand::kBroadcast:
        return Zmm(broadcast_[operand.index]);
      default:
        break;
    }
    int& number = loaded_[operand.index];
    if (number < 0) {
      number = take();
      load(Zmm(number), operand.index, tail);
    }
    return Zmm(number);
  }

  Address at(int memory) {
    return ptr[pointer(memory) + index_ * size_of(program_.memory[memory])];
  }

  void load(const Zmm& to, int memory, bool tail) {
    const Zmm masked = tail ? to | tail_ | T_z : to;
    switch (program_.memory[memory]) {
      case DType::f32:
        return vmovups(masked, at(memory));
      case DType::f16:
        return vcvtph2ps(masked, at(memory));
      case DType::bf16:
        vpmovzxwd(masked, at(memory));
        return vpslld(to, to, 16);
      default:
        vpmovzxbd(masked, at(memory));
        vptestmd(mask_, to, to);
        return truth(to, mask_);
    }
  }

  // 1 where the mask is set, else 0.
  void truth(const Zmm& to, const Opmask& mask) {
    vbroadcastss(to | mask | T_z, ptr[pool_ + constant(std::bit_cast<uint32_t>(1.0f)) * 4]);
  }

  // Rounds the result to its type, stores it and leaves it in `value` as f32 if it is read later.
  void finish(const FusedStep& step, const Zmm& value, bool read_later, bool tail) {
    const Zmm narrow = temporary(0);
    const bool stored = step.result >= 0;
    const bool stream = step.stream && !tail;
    const Address to = stored ? at(step.result) : ptr[pool_];
    switch (step.type) {
      case DType::f32:
        if (!stored) return;
        if (stream) return vmovntps(to, value);
        return tail ? vmovups(to | tail_, value) : vmovups(to, value);
      case DType::f16:
        vcvtps2ph(Xbyak::Ymm(narrow.getIdx()), value, 0);
        if (stored) store_half(to, narrow, stream, tail);
        if (read_later) vcvtph2ps(value, Xbyak::Ymm(narrow.getIdx()));
        return;
      case DType::bf16:
        round_to_bf16(narrow, value);
        if (read_later) vpslld(value, narrow, 16);
        if (!stored) return;
        vpmovdw(Xbyak::Ymm(narrow.getIdx()), narrow);
        return store_half(to, narrow, stream, tail);
      default:
        vcmpps(mask_, value, all(0.0f), kNotEqual);
        if (stored) {
          vpbroadcastd(narrow | mask_ | T_z, ptr[pool_ + constant(1) * 4]);
          tail ? vpmovdb(to | tail_, narrow) : vpmovdb(to, narrow);
        }
        if (read_later) truth(value, mask_);
        return;
    }
  }

  void store_half(const Address& to, const Zmm& narrow, bool stream, bool tail) {
    const Xbyak::Ymm half(narrow.getIdx());
    if (stream) return vmovntdq(to, half);
    if (tail) return vmovdqu16(to | tail_, half);
    vmovdqu16(to, half);
  }

  // To nearest even, in the low half of each lane; NaN becomes the quiet one without payload. Not
  // vcvtneps2bf16, which takes small numbers for zero.
  void round_to_bf16(const Zmm& to, const Zmm& value) {
    vpsrld(to, value, 16);
    vpandd(to, to, all_bits(1));
    vpaddd(to, to, value);
    vpaddd(to, to, all_bits(0x7fff));
    vpsrld(to, to, 16);
    vcmpps(mask_, value, value, kUnordered);
    vpbroadcastd(to | mask_, ptr[pool_ + constant(0x7fc0) * 4]);
  }

  // ---- Functions. The result is none of the sources. ----

  void compute(const FusedStep& step, const Zmm& to, const std::array<Zmm, 3>& in) {
    switch (step.op) {
      case Opcode::v_unary:
        return unary(static_cast<UnaryFn>(step.fn), to, in[0]);
      case Opcode::v_binary:
        return binary(static_cast<BinaryFn>(step.fn), to, in[0], in[1]);
      default:
        return ternary(static_cast<TernaryFn>(step.fn), to, in[0], in[1], in[2]);
    }
  }

  void unary(UnaryFn fn, const Zmm& to, const Zmm& x) {
    switch (fn) {
      case UnaryFn::copy:
        return vmovaps(to, x);
      case UnaryFn::neg:
        return vxorps(to, x, all_bits(0x80000000));
      case UnaryFn::abs:
        return vandps(to, x, all_bits(0x7fffffff));
      case UnaryFn::floor:
        return vrndscaleps(to, x, kDown);
      case UnaryFn::ceil:
        return vrndscaleps(to, x, kUp);
      case UnaryFn::round:
        return vrndscaleps(to, x, kNearest);
      case UnaryFn::trunc:
        return vrndscaleps(to, x, kToZero);
      case UnaryFn::square:
        return vmulps(to, x, x);
      case UnaryFn::relu:
        vmovaps(to, x);
        vcmpps(mask_, x, all(0.0f), kLess);
        return vxorps(to | mask_, to, to);
      case UnaryFn::not_:
        vcmpps(mask_, x, all(0.0f), kEqual);
        return truth(to, mask_);
      case UnaryFn::recip:
        fill(to, 1.0f);
        return vdivps(to, to, x);
      case UnaryFn::sqrt:
        return vsqrtps(to, x);
      case UnaryFn::rsqrt:
        vsqrtps(temporary(0), x);
        fill(to, 1.0f);
        return vdivps(to, to, temporary(0));
      case UnaryFn::exp:
        return exp(to, x);
      case UnaryFn::erf:
        return erf(to, x);
      case UnaryFn::sigmoid:
        vxorps(temporary(5), x, all_bits(0x80000000));
        exp(to, temporary(5));
        vaddps(temporary(0), to, all(1.0f));
        fill(to, 1.0f);
        return vdivps(to, to, temporary(0));
      default:
        throw std::logic_error("no code for this function");
    }
  }

  void binary(BinaryFn fn, const Zmm& to, const Zmm& x, const Zmm& y) {
    const auto compare = [&](Comparison how) {
      vcmpps(mask_, x, y, how);
      truth(to, mask_);
    };
    switch (fn) {
      case BinaryFn::add:
        return vaddps(to, x, y);
      case BinaryFn::sub:
        return vsubps(to, x, y);
      case BinaryFn::mul:
        return vmulps(to, x, y);
      case BinaryFn::div:
        return vdivps(to, x, y);
      case BinaryFn::max:
        return extreme(true, to, x, y);
      case BinaryFn::min:
        return extreme(false, to, x, y);
      case BinaryFn::eq:
        return compare(kEqual);
      case BinaryFn::ne:
        return compare(kNotEqual);
      case BinaryFn::lt:
        return compare(kLess);
      case BinaryFn::le:
        return compare(kLessEqual);
      case BinaryFn::gt:
        return compare(kGreater);
      case BinaryFn::ge:
        return compare(kGreaterEqual);
      case BinaryFn::land:
        vcmpps(mask_, x, all(0.0f), kNotEqual);
        vcmpps(mask_ | mask_, y, all(0.0f), kNotEqual);
        return truth(to, mask_);
      case BinaryFn::lor:
        vcmpps(mask_, x, all(0.0f), kNotEqual);
        vcmpps(other_mask_, y, all(0.0f), kNotEqual);
        korw(mask_, mask_, other_mask_);
        return truth(to, mask_);
      default:
        throw std::logic_error("no code for this function");
    }
  }

  void ternary(TernaryFn fn, const Zmm& to, const Zmm& x, const Zmm& y, const Zmm& z) {
    switch (fn) {
      case TernaryFn::where:
        vcmpps(mask_, x, all(0.0f), kNotEqual);
        return vblendmps(to | mask_, z, y);
      case TernaryFn::fma:
        vmovaps(to, x);
        return vfmadd213ps(to, y, z);
      case TernaryFn::clamp:
        extreme(true, temporary(0), x, y);
        return extreme(false, to, temporary(0), z);
      default:
        throw std::logic_error("no code for this function");
    }
  }

  // Of two numbers the larger (smaller), of two equal ones x, of two with a NaN the first NaN: the
  // instruction takes its second source where either is a NaN or both are zero.
  void extreme(bool largest, const Zmm& to, const Zmm& x, const Zmm& y) {
    vcmpps(mask_, y, y, kUnordered);
    vcmpps(other_mask_, x, x, kUnordered);
    kandnw(mask_, other_mask_, mask_);
    largest ? vmaxps(to, y, x) : vminps(to, y, x);
    vmovaps(to | mask_, y);
  }

  // The steps of Exp and erf_f32 in float_functions.cpp, one by one.
  void exp(const Zmm& to, const Zmm& x) {
    constexpr float kFarthest = 170;
    const Zmm bounded = temporary(0);
    const Zmm n = temporary(1);
    const Zmm p = temporary(2);
    clamp_symmetric(bounded, x, kFarthest, n);
    vmulps(n, bounded, all(0x1.715476p0f));
    vrndscaleps(n, n, kNearest);
    vfmadd231ps(bounded, n, all(-0x1.62e4p-1f));
    vfmadd231ps(bounded, n, all(-0x1.7f7d1cp-20f));
    fill(p, 1.0f / 5040);
    for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f}) {
      vfmadd213ps(p, bounded, all(c));
    }
    vmulps(to, bounded, bounded);
    vfmadd213ps(p, to, bounded);
    vaddps(p, p, all(1.0f));
    vscalefps(to, p, n);
  }

  void erf(const Zmm& to, const Zmm& x) {
    constexpr float kOne = 3.92f;
    constexpr float kEighths = 0x1.8p20f;
    const Zmm clamped = temporary(0);
    const Zmm d = temporary(1);
    const Zmm shifted = temporary(2);
    const Zmm c = temporary(3);
    clamp_symmetric(clamped, x, kOne, d);
    vandps(d, clamped, all_bits(0x7fffffff));
    vaddps(shifted, d, all(kEighths));
    vsubps(c, shifted, all(kEighths));
    vsubps(d, d, c);
    const auto coefficient = [&](const Zmm& result, int degree) {
      vmovaps(result, shifted);
      vpermi2ps(result, Zmm(erf_[degree * 2]), Zmm(erf_[degree * 2 + 1]));
    };
    coefficient(to, ErfTable::kDegree);
    for (int degree = ErfTable::kDegree - 1; degree >= 0; --degree) {
      coefficient(c, degree);
      vfmadd213ps(to, d, c);
    }
    vmulps(to, to, clamped);
  }

  void load_erf_table() {
    lea(index_, ptr[rip + erf_pool_]);
    for (size_t i = 0; i < erf_.size(); ++i) {
      erf_[i] = take();
      vmovups(Zmm(erf_[i]), ptr[index_ + static_cast<int>(i) * kLanes * 4]);
    }
  }

  // NaN stays.
  void clamp_symmetric(const Zmm& to, const Zmm& x, float bound, const Zmm& spare) {
    fill(to, bound);
    fill(spare, -bound);
    vminps(to, to, x);
    vmaxps(to, spare, to);
  }

  const FusedProgram program_;
  std::vector<uint32_t> constants_;
  Xbyak::Label erf_pool_;
  unsigned taken_ = 0;
  bool uses_erf_ = false;
  std::array<int, kFusedSteps> last_use_;
  std::array<int, kFusedSteps> value_;
  std::array<int, kFusedMemories> last_load_;
  std::array<int, kFusedMemories> loaded_;
  std::array<int, kFusedBroadcasts> broadcast_;
  std::array<int, (ErfTable::kDegree + 1) * 2> erf_;
};

}  // namespace

bool fuses(DType type) {
  return type == DType::f32 || type == DType::bf16 || type == DType::f16 || type == DType::b8;
}

bool fuses(Opcode op, uint8_t fn) {
  switch (op) {
    case Opcode::v_unary:
      switch (static_cast<UnaryFn>(fn)) {
        case UnaryFn::copy:
        case UnaryFn::neg:
        case UnaryFn::abs:
        case UnaryFn::floor:
        case UnaryFn::ceil:
        case UnaryFn::round:
        case UnaryFn::trunc:
        case UnaryFn::square:
        case UnaryFn::relu:
        case UnaryFn::not_:
        case UnaryFn::recip:
        case UnaryFn::sqrt:
        case UnaryFn::rsqrt:
        case UnaryFn::exp:
        case UnaryFn::erf:
        case UnaryFn::sigmoid:
          return true;
        default:
          return false;
      }
    case Opcode::v_binary:
      switch (static_cast<BinaryFn>(fn)) {
        case BinaryFn::add:
        case BinaryFn::sub:
        case BinaryFn::mul:
        case BinaryFn::div:
        case BinaryFn::max:
        case BinaryFn::min:
        case BinaryFn::eq:
        case BinaryFn::ne:
        case BinaryFn::lt:
        case BinaryFn::le:
        case BinaryFn::gt:
        case BinaryFn::ge:
        case BinaryFn::land:
        case BinaryFn::lor:
          return true;
        default:
          return false;
      }
    case Opcode::v_ternary:
      return static_cast<TernaryFn>(fn) != TernaryFn::lerp;
    default:
      return false;
  }
}

FusedKey FusedProgram::key() const {
  FusedKey key;
  uint64_t types = static_cast<uint64_t>(memories) | static_cast<uint64_t>(broadcasts) << 8;
  for (int m = 0; m < memories; ++m) {
    types |= static_cast<uint64_t>(memory[m]) << (16 + 4 * m);
  }
  key.word[key.words++] = types;
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

FusedFunction FusedCache::find(const FusedProgram& program) {
  const FusedKey key = program.key();
  if (const auto found = codes_.find(key); found != codes_.end()) return found->second->function;
  auto code = std::make_unique<Code>();
  try {
    code->emitter.emplace(program);
    code->function = code->emitter->getCode<FusedFunction>();
  } catch (const TooLarge&) {
    code->emitter.reset();
  }
  return codes_.emplace(key, std::move(code)).first->second->function;
}

}  // namespace npu::sim

// What machine code does with one vector of 16 f32 elements: loads, functions, stores.
#pragma once

#include <xbyak/xbyak.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

#include "sim/engine/special.h"
#include "sim/isa/dtype.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

inline constexpr int kFusedLanes = 16;

// Constants, in memory that a register points to.
class ConstantPool {
 public:
  explicit ConstantPool(const Xbyak::Reg64& base) : base_(base) {}

  Xbyak::Address one(uint32_t bits) { return Xbyak::util::ptr[base_ + offset(bits)]; }
  Xbyak::Address one(float value) { return one(std::bit_cast<uint32_t>(value)); }
  // In every lane.
  Xbyak::Address all(uint32_t bits) { return Xbyak::util::ptr_b[base_ + offset(bits)]; }
  Xbyak::Address all(float value) { return all(std::bit_cast<uint32_t>(value)); }
  const std::vector<uint32_t>& words() const { return words_; }

 private:
  int offset(uint32_t bits) {
    const auto found = std::ranges::find(words_, bits);
    const auto number = static_cast<int>(found - words_.begin());
    if (found == words_.end()) words_.push_back(bits);
    return number * static_cast<int>(sizeof(uint32_t));
  }

  Xbyak::Reg64 base_;
  std::vector<uint32_t> words_;
};

// Code that is seldom run: it stands behind the function and jumps back into it.
using CodeAside = std::vector<std::function<void()>>;

// Registers with the coefficients of erf, two for each degree.
using ErfRegisters = std::array<int, (ErfTable::kDegree + 1) * 2>;

class VectorCode {
 public:
  static constexpr int kTemporaries = 6;

  // What the code of one vector has for itself.
  struct Own {
    std::array<int, kTemporaries> temporaries;
    Xbyak::Opmask mask;
    Xbyak::Opmask other_mask;
    // Lanes beyond the line's end: with `tail`, those not in `tail_mask` are neither read nor
    // written.
    bool tail;
    Xbyak::Opmask tail_mask;
  };

  VectorCode(Xbyak::CodeGenerator& code, ConstantPool& pool, CodeAside& aside,
             const ErfRegisters& erf, const Own& own)
      : code_(code), pool_(pool), aside_(aside), erf_(erf), own_(own) {}

  static bool knows(Opcode op, uint8_t fn);
  static bool knows(DType type);

  void load(const Xbyak::Zmm& to, DType type, const Xbyak::Address& from);
  // `to` is none of the sources.
  void compute(Opcode op, uint8_t fn, const Xbyak::Zmm& to, const std::array<Xbyak::Zmm, 3>& in);
  // Rounds the result to its type and leaves it in `value`, if it is read later, as f32.
  void round(DType type, const Xbyak::Zmm& value, bool read_later);
  // The same, and writes it to memory; with `stream` past the host's caches.
  void store(DType type, const Xbyak::Address& to, const Xbyak::Zmm& value, bool stream,
             bool read_later);

 private:
  Xbyak::Zmm temporary(int i) const { return Xbyak::Zmm(own_.temporaries[static_cast<size_t>(i)]); }
  void unary(UnaryFn fn, const Xbyak::Zmm& to, const Xbyak::Zmm& x);
  void binary(BinaryFn fn, const Xbyak::Zmm& to, const Xbyak::Zmm& x, const Xbyak::Zmm& y);
  void ternary(TernaryFn fn, const Xbyak::Zmm& to, const Xbyak::Zmm& x, const Xbyak::Zmm& y,
               const Xbyak::Zmm& z);
  void truth(const Xbyak::Zmm& to);
  void extreme(bool largest, const Xbyak::Zmm& to, const Xbyak::Zmm& x, const Xbyak::Zmm& y);
  void exp(const Xbyak::Zmm& to, const Xbyak::Zmm& x);
  void erf(const Xbyak::Zmm& to, const Xbyak::Zmm& x);
  void clamp_symmetric(const Xbyak::Zmm& to, const Xbyak::Zmm& x, float bound,
                       const Xbyak::Zmm& spare);
  void narrow_to_bf16(const Xbyak::Ymm& to, const Xbyak::Zmm& value);
  void round_to_bf16(const Xbyak::Zmm& to, const Xbyak::Zmm& value);
  void store_half(const Xbyak::Address& to, const Xbyak::Zmm& narrow, bool stream);

  Xbyak::CodeGenerator& code_;
  ConstantPool& pool_;
  CodeAside& aside_;
  const ErfRegisters& erf_;
  const Own own_;
};

}  // namespace npu::sim

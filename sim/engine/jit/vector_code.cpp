#include "sim/engine/jit/vector_code.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace npu::sim {
namespace {

using Xbyak::Address;
using Xbyak::Ymm;
using Xbyak::Zmm;

enum Rounding : uint8_t { kNearest = 8, kDown = 9, kUp = 10, kToZero = 11 };
// Quiet ones, of which all but the last two are false where a NaN takes part.
enum Comparison : uint8_t {
  kEqual = 0x00,
  kLess = 0x11,
  kLessEqual = 0x12,
  kGreaterEqual = 0x1d,
  kGreater = 0x1e,
  kUnordered = 0x03,
  kNotEqual = 0x04
};

constexpr uint32_t kSignBit = 0x80000000;
constexpr UnaryFn kUnary[] = {UnaryFn::copy,  UnaryFn::neg,     UnaryFn::abs,   UnaryFn::floor,
                              UnaryFn::ceil,  UnaryFn::round,   UnaryFn::trunc, UnaryFn::square,
                              UnaryFn::relu,  UnaryFn::not_,    UnaryFn::recip, UnaryFn::sqrt,
                              UnaryFn::rsqrt, UnaryFn::sigmoid, UnaryFn::exp,   UnaryFn::erf};
constexpr BinaryFn kBinary[] = {BinaryFn::add,  BinaryFn::sub, BinaryFn::mul, BinaryFn::div,
                                BinaryFn::max,  BinaryFn::min, BinaryFn::eq,  BinaryFn::ne,
                                BinaryFn::lt,   BinaryFn::le,  BinaryFn::gt,  BinaryFn::ge,
                                BinaryFn::land, BinaryFn::lor};
constexpr TernaryFn kTernary[] = {TernaryFn::where, TernaryFn::fma, TernaryFn::clamp};

template <class Fn, size_t kCount>
bool contains(const Fn (&list)[kCount], uint8_t fn) {
  return std::ranges::find(list, static_cast<Fn>(fn)) != std::end(list);
}

[[noreturn]] void unknown() { throw std::logic_error("there is no code for this function"); }

}  // namespace

bool VectorCode::knows(Opcode op, uint8_t fn) {
  switch (op) {
    case Opcode::v_unary:
      return contains(kUnary, fn);
    case Opcode::v_binary:
      return contains(kBinary, fn);
    case Opcode::v_ternary:
      return contains(kTernary, fn);
    default:
      return false;
  }
}

bool VectorCode::knows(DType type) {
  return type == DType::f32 || type == DType::bf16 || type == DType::f16 || type == DType::b8;
}

// ---- Memory -------------------------------------------------------------------------------------

void VectorCode::load(const Zmm& to, DType type, const Address& from) {
  const Zmm masked = own_.tail ? to | own_.tail_mask | Xbyak::util::T_z : to;
  switch (type) {
    case DType::f32:
      return code_.vmovups(masked, from);
    case DType::f16:
      return code_.vcvtph2ps(masked, from);
    case DType::bf16:
      code_.vpmovzxwd(masked, from);
      return code_.vpslld(to, to, 16);
    default:
      code_.vpmovzxbd(masked, from);
      code_.vptestmd(own_.mask, to, to);
      return truth(to);
  }
}

void VectorCode::round(DType type, const Zmm& value, bool read_later) {
  if (!read_later) return;
  const Zmm narrow = temporary(0);
  switch (type) {
    case DType::f32:
      return;
    case DType::f16:
      code_.vcvtps2ph(Ymm(narrow.getIdx()), value, 0);
      return code_.vcvtph2ps(value, Ymm(narrow.getIdx()));
    case DType::bf16:
      round_to_bf16(narrow, value);
      return code_.vpslld(value, narrow, 16);
    default:
      code_.vcmpps(own_.mask, value, pool_.all(0.0f), kNotEqual);
      return truth(value);
  }
}

void VectorCode::store(DType type, const Address& to, const Zmm& value, bool stream,
                       bool read_later) {
  const Zmm narrow = temporary(0);
  switch (type) {
    case DType::f32:
      if (own_.tail) return code_.vmovups(to | own_.tail_mask, value);
      return stream ? code_.vmovntps(to, value) : code_.vmovups(to, value);
    case DType::f16:
      code_.vcvtps2ph(Ymm(narrow.getIdx()), value, 0);
      store_half(to, narrow, stream);
      if (read_later) code_.vcvtph2ps(value, Ymm(narrow.getIdx()));
      return;
    case DType::bf16:
      narrow_to_bf16(Ymm(narrow.getIdx()), value);
      store_half(to, narrow, stream);
      if (!read_later) return;
      code_.vpmovzxwd(value, Ymm(narrow.getIdx()));
      return code_.vpslld(value, value, 16);
    default:
      code_.vcmpps(own_.mask, value, pool_.all(0.0f), kNotEqual);
      code_.vpbroadcastd(narrow | own_.mask | Xbyak::util::T_z, pool_.one(uint32_t{1}));
      code_.vpmovdb(own_.tail ? to | own_.tail_mask : to, narrow);
      if (read_later) truth(value);
      return;
  }
}

void VectorCode::store_half(const Address& to, const Zmm& narrow, bool stream) {
  const Ymm half(narrow.getIdx());
  if (own_.tail) return code_.vmovdqu16(to | own_.tail_mask, half);
  stream ? code_.vmovntdq(to, half) : code_.vmovdqu16(to, half);
}

// The processor's instruction takes subnormal numbers for zero and keeps what a NaN carries:
// vectors that hold such go aside.
void VectorCode::narrow_to_bf16(const Ymm& to, const Zmm& value) {
  constexpr uint8_t kQuietNan = 0x01;
  constexpr uint8_t kSubnormal = 0x20;
  constexpr uint8_t kSignallingNan = 0x80;
  struct Labels {
    Xbyak::Label exact;
    Xbyak::Label done;
  };
  const auto labels = std::make_shared<Labels>();
  code_.vfpclassps(own_.mask, value, kQuietNan | kSubnormal | kSignallingNan);
  code_.kortestw(own_.mask, own_.mask);
  code_.jnz(labels->exact, Xbyak::CodeGenerator::T_NEAR);
  code_.vcvtneps2bf16(to, value);
  code_.L(labels->done);
  aside_.push_back([*this, labels, to, value]() mutable {
    code_.L(labels->exact);
    const Zmm wide(to.getIdx());
    round_to_bf16(wide, value);
    code_.vpmovdw(to, wide);
    code_.jmp(labels->done, Xbyak::CodeGenerator::T_NEAR);
  });
}

// To nearest even, in the low half of each lane; NaN becomes the quiet one without payload.
void VectorCode::round_to_bf16(const Zmm& to, const Zmm& value) {
  code_.vpsrld(to, value, 16);
  code_.vpandd(to, to, pool_.all(uint32_t{1}));
  code_.vpaddd(to, to, value);
  code_.vpaddd(to, to, pool_.all(uint32_t{0x7fff}));
  code_.vpsrld(to, to, 16);
  code_.vcmpps(own_.mask, value, value, kUnordered);
  code_.vpbroadcastd(to | own_.mask, pool_.one(uint32_t{0x7fc0}));
}

// ---- Functions ----------------------------------------------------------------------------------

void VectorCode::compute(Opcode op, uint8_t fn, const Zmm& to, const std::array<Zmm, 3>& in) {
  switch (op) {
    case Opcode::v_unary:
      return unary(static_cast<UnaryFn>(fn), to, in[0]);
    case Opcode::v_binary:
      return binary(static_cast<BinaryFn>(fn), to, in[0], in[1]);
    default:
      return ternary(static_cast<TernaryFn>(fn), to, in[0], in[1], in[2]);
  }
}

// 1 where the mask is set, else 0.
void VectorCode::truth(const Zmm& to) {
  code_.vbroadcastss(to | own_.mask | Xbyak::util::T_z, pool_.one(1.0f));
}

void VectorCode::unary(UnaryFn fn, const Zmm& to, const Zmm& x) {
  switch (fn) {
    case UnaryFn::copy:
      return code_.vmovaps(to, x);
    case UnaryFn::neg:
      return code_.vxorps(to, x, pool_.all(kSignBit));
    case UnaryFn::abs:
      return code_.vandps(to, x, pool_.all(~kSignBit));
    case UnaryFn::floor:
      return code_.vrndscaleps(to, x, kDown);
    case UnaryFn::ceil:
      return code_.vrndscaleps(to, x, kUp);
    case UnaryFn::round:
      return code_.vrndscaleps(to, x, kNearest);
    case UnaryFn::trunc:
      return code_.vrndscaleps(to, x, kToZero);
    case UnaryFn::square:
      return code_.vmulps(to, x, x);
    case UnaryFn::relu:
      code_.vmovaps(to, x);
      code_.vcmpps(own_.mask, x, pool_.all(0.0f), kLess);
      return code_.vxorps(to | own_.mask, to, to);
    case UnaryFn::not_:
      code_.vcmpps(own_.mask, x, pool_.all(0.0f), kEqual);
      return truth(to);
    case UnaryFn::recip:
      code_.vbroadcastss(to, pool_.one(1.0f));
      return code_.vdivps(to, to, x);
    case UnaryFn::sqrt:
      return code_.vsqrtps(to, x);
    case UnaryFn::rsqrt:
      code_.vsqrtps(temporary(0), x);
      code_.vbroadcastss(to, pool_.one(1.0f));
      return code_.vdivps(to, to, temporary(0));
    case UnaryFn::exp:
      return exp(to, x);
    case UnaryFn::erf:
      return erf(to, x);
    case UnaryFn::sigmoid:
      code_.vxorps(temporary(5), x, pool_.all(kSignBit));
      exp(to, temporary(5));
      code_.vaddps(temporary(0), to, pool_.all(1.0f));
      code_.vbroadcastss(to, pool_.one(1.0f));
      return code_.vdivps(to, to, temporary(0));
    default:
      unknown();
  }
}

void VectorCode::binary(BinaryFn fn, const Zmm& to, const Zmm& x, const Zmm& y) {
  const auto compare = [&](Comparison how) {
    code_.vcmpps(own_.mask, x, y, static_cast<uint8_t>(how));
    truth(to);
  };
  switch (fn) {
    case BinaryFn::add:
      return code_.vaddps(to, x, y);
    case BinaryFn::sub:
      return code_.vsubps(to, x, y);
    case BinaryFn::mul:
      return code_.vmulps(to, x, y);
    case BinaryFn::div:
      return code_.vdivps(to, x, y);
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
      code_.vcmpps(own_.mask, x, pool_.all(0.0f), kNotEqual);
      code_.vcmpps(own_.mask | own_.mask, y, pool_.all(0.0f), kNotEqual);
      return truth(to);
    case BinaryFn::lor:
      code_.vcmpps(own_.mask, x, pool_.all(0.0f), kNotEqual);
      code_.vcmpps(own_.other_mask, y, pool_.all(0.0f), kNotEqual);
      code_.korw(own_.mask, own_.mask, own_.other_mask);
      return truth(to);
    default:
      unknown();
  }
}

void VectorCode::ternary(TernaryFn fn, const Zmm& to, const Zmm& x, const Zmm& y, const Zmm& z) {
  switch (fn) {
    case TernaryFn::where:
      code_.vcmpps(own_.mask, x, pool_.all(0.0f), kNotEqual);
      return code_.vblendmps(to | own_.mask, z, y);
    case TernaryFn::fma:
      code_.vmovaps(to, x);
      return code_.vfmadd213ps(to, y, z);
    case TernaryFn::clamp:
      extreme(true, temporary(0), x, y);
      return extreme(false, to, temporary(0), z);
    default:
      unknown();
  }
}

// Of two numbers the larger (smaller), of two equal ones x, of two with a NaN the first NaN: the
// instruction takes its second source where either is a NaN or both are zero.
void VectorCode::extreme(bool largest, const Zmm& to, const Zmm& x, const Zmm& y) {
  code_.vcmpps(own_.mask, y, y, kUnordered);
  code_.vcmpps(own_.other_mask, x, x, kUnordered);
  code_.kandnw(own_.mask, own_.other_mask, own_.mask);
  largest ? code_.vmaxps(to, y, x) : code_.vminps(to, y, x);
  code_.vmovaps(to | own_.mask, y);
}

// NaN stays.
void VectorCode::clamp_symmetric(const Zmm& to, const Zmm& x, float bound, const Zmm& spare) {
  code_.vbroadcastss(to, pool_.one(bound));
  code_.vbroadcastss(spare, pool_.one(-bound));
  code_.vminps(to, to, x);
  code_.vmaxps(to, spare, to);
}

// The steps of Exp and erf_f32 in simd/float_functions.cpp, one by one.
void VectorCode::exp(const Zmm& to, const Zmm& x) {
  using Series = ExpSeries;
  const Zmm bounded = temporary(0);
  const Zmm n = temporary(1);
  const Zmm p = temporary(2);
  clamp_symmetric(bounded, x, Series::kFarthest, n);
  code_.vmulps(n, bounded, pool_.all(Series::kPerLog2));
  code_.vrndscaleps(n, n, kNearest);
  code_.vfmadd231ps(bounded, n, pool_.all(-Series::kLog2High));
  code_.vfmadd231ps(bounded, n, pool_.all(-Series::kLog2Low));
  code_.vbroadcastss(p, pool_.one(Series::kFirst));
  for (const float c : Series::kCoefficients) code_.vfmadd213ps(p, bounded, pool_.all(c));
  code_.vmulps(to, bounded, bounded);
  code_.vfmadd213ps(p, to, bounded);
  code_.vaddps(p, p, pool_.all(1.0f));
  code_.vscalefps(to, p, n);
}

void VectorCode::erf(const Zmm& to, const Zmm& x) {
  const Zmm clamped = temporary(0);
  const Zmm d = temporary(1);
  const Zmm shifted = temporary(2);
  const Zmm c = temporary(3);
  clamp_symmetric(clamped, x, ErfTable::kOne, d);
  code_.vandps(d, clamped, pool_.all(~kSignBit));
  code_.vaddps(shifted, d, pool_.all(ErfTable::kEighths));
  code_.vsubps(c, shifted, pool_.all(ErfTable::kEighths));
  code_.vsubps(d, d, c);
  const auto coefficient = [&](const Zmm& result, int degree) {
    const auto low = static_cast<size_t>(degree) * 2;
    code_.vmovaps(result, shifted);
    code_.vpermi2ps(result, Zmm(erf_[low]), Zmm(erf_[low + 1]));
  };
  coefficient(to, ErfTable::kDegree);
  for (int degree = ErfTable::kDegree - 1; degree >= 0; --degree) {
    coefficient(c, degree);
    code_.vfmadd213ps(to, d, c);
  }
  code_.vmulps(to, to, clamped);
}

}  // namespace npu::sim

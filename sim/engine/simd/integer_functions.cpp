// Element-wise functions of i64, which stands for all integers and bool. Arithmetic wraps. Nothing
// traps: x / 0 is -1 and its remainder x, as on RISC-V.
#include <limits>

#include "sim/engine/simd/map.h"

namespace npu::sim::NPU_SIMD {
namespace {

using I = int64_t;
using U = uint64_t;

#define NPU_ONE(Name, expression)             \
  struct Name {                               \
    static I f(I x) { return I(expression); } \
  };
#define NPU_TWO(Name, expression)                  \
  struct Name {                                    \
    static I f(I x, I y) { return I(expression); } \
  };
#define NPU_THREE(Name, expression)                     \
  struct Name {                                         \
    static I f(I x, I y, I z) { return I(expression); } \
  };

NPU_ONE(Copy, x)
NPU_ONE(Zero, 0 * x)
NPU_ONE(One, 0 * x + 1)
NPU_ONE(Neg, -U(x))
NPU_ONE(Abs, x < 0 ? -U(x) : U(x))
NPU_ONE(Sign, (x > 0) - (x < 0))
NPU_ONE(Square, U(x) * U(x))
NPU_ONE(Not, x == 0)
NPU_ONE(BitNot, ~x)
NPU_ONE(SignBit, x < 0)
NPU_ONE(Relu, x < 0 ? 0 : x)

NPU_TWO(Add, U(x) + U(y))
NPU_TWO(Sub, U(x) - U(y))
NPU_TWO(Mul, U(x) * U(y))
NPU_TWO(Max, x < y ? y : x)
NPU_TWO(Min, y < x ? y : x)
NPU_TWO(Eq, x == y)
NPU_TWO(Ne, x != y)
NPU_TWO(Lt, x < y)
NPU_TWO(Le, x <= y)
NPU_TWO(Gt, x > y)
NPU_TWO(Ge, x >= y)
NPU_TWO(And, x& y)
NPU_TWO(Or, x | y)
NPU_TWO(Xor, x ^ y)
NPU_TWO(LAnd, (x != 0) & (y != 0))
NPU_TWO(LOr, (x != 0) | (y != 0))
NPU_TWO(LXor, (x != 0) ^ (y != 0))
// Shifts by a negative number or by the width and more move every bit out.
NPU_TWO(Shl, U(y) < 64 ? U(x) << (U(y) & 63) : 0)
NPU_TWO(Shr, x >> (U(y) < 64 ? U(y) : 63))

// The one quotient that does not fit wraps: dividing by -1 negates.
NPU_TWO(TruncDiv, y == -1 ? -U(x) : y == 0 ? U(-1) : U(x / y))
NPU_TWO(FMod, y == -1 ? 0 : y == 0 ? x : x % y)

NPU_THREE(Where, x != 0 ? y : z)
NPU_THREE(Fma, U(x) * U(y) + U(z))
NPU_THREE(Clamp, Min::f(Max::f(x, y), z))

#undef NPU_ONE
#undef NPU_TWO
#undef NPU_THREE

struct Mod {
  static I f(I x, I y) {
    const I rest = FMod::f(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
};

struct FloorDiv {
  static I f(I x, I y) {
    const I quotient = TruncDiv::f(x, y);
    return y != 0 && FMod::f(x, y) != 0 && (x < 0) != (y < 0) ? quotient - 1 : quotient;
  }
};

// Negative exponents give what is left of the fraction: 0, except for the bases 1 and -1.
struct Pow {
  static I f(I x, I y) {
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
    U result = 1;
    for (U base = U(x), exponent = U(y); exponent != 0; exponent >>= 1, base *= base) {
      if (exponent & 1) result *= base;
    }
    return I(result);
  }
};

struct Gcd {
  static I f(I x, I y) {
    U a = U(Abs::f(x));
    U b = U(Abs::f(y));
    while (b != 0) {
      const U rest = a % b;
      a = b;
      b = rest;
    }
    return I(a);
  }
};

}  // namespace

void fill_integer_functions(VectorTable& table) {
  ElementwiseTable<I>& to = table.i64;
  const auto one = [&](UnaryFn fn) -> auto& { return to.unary[static_cast<int>(fn)]; };
  one(UnaryFn::copy) = map1<I, Copy>;
  one(UnaryFn::neg) = map1<I, Neg>;
  one(UnaryFn::abs) = map1<I, Abs>;
  one(UnaryFn::sign) = map1<I, Sign>;
  for (UnaryFn fn : {UnaryFn::floor, UnaryFn::ceil, UnaryFn::round, UnaryFn::trunc}) {
    one(fn) = map1<I, Copy>;
  }
  for (UnaryFn fn :
       {UnaryFn::frac, UnaryFn::isnan, UnaryFn::isinf, UnaryFn::isposinf, UnaryFn::isneginf}) {
    one(fn) = map1<I, Zero>;
  }
  one(UnaryFn::isfinite) = map1<I, One>;
  one(UnaryFn::square) = map1<I, Square>;
  one(UnaryFn::not_) = map1<I, Not>;
  one(UnaryFn::bitnot) = map1<I, BitNot>;
  one(UnaryFn::signbit) = map1<I, SignBit>;
  one(UnaryFn::relu) = map1<I, Relu>;

  const auto two = [&](BinaryFn fn) -> auto& { return to.binary[static_cast<int>(fn)]; };
  two(BinaryFn::add) = map2<I, Add>;
  two(BinaryFn::sub) = map2<I, Sub>;
  two(BinaryFn::mul) = map2<I, Mul>;
  two(BinaryFn::floordiv) = map2<I, FloorDiv>;
  two(BinaryFn::truncdiv) = map2<I, TruncDiv>;
  two(BinaryFn::mod) = map2<I, Mod>;
  two(BinaryFn::fmod) = map2<I, FMod>;
  two(BinaryFn::max) = two(BinaryFn::fmax) = map2<I, Max>;
  two(BinaryFn::min) = two(BinaryFn::fmin) = map2<I, Min>;
  two(BinaryFn::pow) = map2<I, Pow>;
  two(BinaryFn::eq) = map2<I, Eq>;
  two(BinaryFn::ne) = map2<I, Ne>;
  two(BinaryFn::lt) = map2<I, Lt>;
  two(BinaryFn::le) = map2<I, Le>;
  two(BinaryFn::gt) = map2<I, Gt>;
  two(BinaryFn::ge) = map2<I, Ge>;
  two(BinaryFn::and_) = map2<I, And>;
  two(BinaryFn::or_) = map2<I, Or>;
  two(BinaryFn::xor_) = map2<I, Xor>;
  two(BinaryFn::land) = map2<I, LAnd>;
  two(BinaryFn::lor) = map2<I, LOr>;
  two(BinaryFn::lxor) = map2<I, LXor>;
  two(BinaryFn::shl) = map2<I, Shl>;
  two(BinaryFn::shr) = map2<I, Shr>;
  two(BinaryFn::gcd) = map2<I, Gcd>;

  const auto three = [&](TernaryFn fn) -> auto& { return to.ternary[static_cast<int>(fn)]; };
  three(TernaryFn::where) = map3<I, Where>;
  three(TernaryFn::fma) = map3<I, Fma>;
  three(TernaryFn::clamp) = map3<I, Clamp>;
}

}  // namespace npu::sim::NPU_SIMD

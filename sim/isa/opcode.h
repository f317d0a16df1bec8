// The tile instruction set: every opcode and sub-function in one table each.
//
// docs/isa.md says what each one means. The enums, the assembler's mnemonics, the disassembler and
// the SDK's builder are all made from these tables.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace npu::sim {

enum class Engine : uint8_t { scalar, vector, matrix, dma };
inline constexpr int kEngineCount = 4;
std::string_view name(Engine engine);

// X(enumerator, mnemonic, engine). Families with a sub-function take their mnemonic's second half
// from the function tables below: `v.exp`, `v.add`, `v.where`, `v.reduce.sum`, `s.add`.
// clang-format off
#define NPU_SIM_OPCODES(X)                   \
  X(exit,       "exit",       scalar)        \
  X(loop,       "loop",       scalar)        \
  X(endloop,    "endloop",    scalar)        \
  X(break_if,   "break_if",   scalar)        \
  X(if_,        "if",         scalar)        \
  X(else_,      "else",       scalar)        \
  X(endif,      "endif",      scalar)        \
  X(s_alu,      "s",          scalar)        \
  X(s_select,   "s.select",   scalar)        \
  X(s_load,     "s.load",     scalar)        \
  X(d_load,     "d.load",     dma)           \
  X(d_store,    "d.store",    dma)           \
  X(d_gather,   "d.gather",   dma)           \
  X(d_scatter,  "d.scatter",  dma)           \
  X(d_fill,     "d.fill",     dma)           \
  X(m_mma,      "m.mma",      matrix)        \
  X(v_unary,    "v",          vector)        \
  X(v_binary,   "v",          vector)        \
  X(v_ternary,  "v",          vector)        \
  X(v_reduce,   "v.reduce",   vector)        \
  X(v_scan,     "v.scan",     vector)        \
  X(v_sort,     "v.sort",     vector)        \
  X(v_iota,     "v.iota",     vector)        \
  X(v_random,   "v.random",   vector)        \
  X(v_fill,     "v.fill",     vector)        \
  X(v_expand,   "v.expand",   vector)        \
  X(v_transpose,"v.transpose",vector)        \
  X(v_reshape,  "v.reshape",  vector)        \
  X(v_slice,    "v.slice",    vector)        \
  X(v_insert,   "v.insert",   vector)        \
  X(v_gather,   "v.gather",   vector)

// Scalar registers are 64 bits wide. Functions that start with `f` work on the bits of a double.
// X(enumerator, operands)
#define NPU_SIM_SCALAR_FNS(X)                                                                     \
  X(mov, 1) X(add, 2) X(sub, 2) X(mul, 2) X(div, 2) X(mod, 2) X(min, 2) X(max, 2) X(and_, 2)      \
  X(or_, 2) X(xor_, 2) X(shl, 2) X(shr, 2) X(lt, 2) X(le, 2) X(eq, 2) X(ne, 2) X(fadd, 2)         \
  X(fsub, 2) X(fmul, 2) X(fdiv, 2) X(fmin, 2) X(fmax, 2) X(flt, 2) X(fsqrt, 1) X(i2f, 1) X(f2i, 1)

// X(enumerator, cost): lanes x passes through the vector engine; `special` functions run on the
// special-function lanes, cost passes each.
#define NPU_SIM_UNARY_FNS(X)                                                                      \
  X(copy, simple, 1) X(neg, simple, 1) X(abs, simple, 1) X(sign, simple, 1) X(floor, simple, 1)   \
  X(ceil, simple, 1) X(round, simple, 1) X(trunc, simple, 1) X(frac, simple, 2)                   \
  X(square, simple, 1) X(not_, simple, 1) X(bitnot, simple, 1) X(isnan, simple, 1)                \
  X(isinf, simple, 1) X(isfinite, simple, 1) X(isposinf, simple, 1) X(isneginf, simple, 1)        \
  X(signbit, simple, 1) X(relu, simple, 1)                                                        \
  X(recip, special, 1) X(sqrt, special, 1) X(rsqrt, special, 1) X(exp, special, 1)                \
  X(exp2, special, 1) X(expm1, special, 2) X(log, special, 1) X(log2, special, 1)                 \
  X(log10, special, 1) X(log1p, special, 2) X(sin, special, 1) X(cos, special, 1)                 \
  X(tan, special, 2) X(asin, special, 2) X(acos, special, 2) X(atan, special, 2)                  \
  X(sinh, special, 2) X(cosh, special, 2) X(tanh, special, 1) X(asinh, special, 2)                \
  X(acosh, special, 2) X(atanh, special, 2) X(erf, special, 1) X(erfc, special, 2)                \
  X(erfinv, special, 3) X(sigmoid, special, 1) X(lgamma, special, 4) X(digamma, special, 4)

#define NPU_SIM_BINARY_FNS(X)                                                                     \
  X(add, simple, 1) X(sub, simple, 1) X(mul, simple, 1) X(div, special, 1)                        \
  X(floordiv, special, 2) X(truncdiv, special, 2) X(mod, special, 2) X(fmod, special, 2)          \
  X(max, simple, 1) X(min, simple, 1) X(fmax, simple, 1) X(fmin, simple, 1) X(pow, special, 2)    \
  X(atan2, special, 3) X(hypot, special, 2) X(copysign, simple, 1) X(nextafter, simple, 2)        \
  X(eq, simple, 1) X(ne, simple, 1) X(lt, simple, 1) X(le, simple, 1) X(gt, simple, 1)            \
  X(ge, simple, 1) X(and_, simple, 1) X(or_, simple, 1) X(xor_, simple, 1) X(land, simple, 1)     \
  X(lor, simple, 1) X(lxor, simple, 1) X(shl, simple, 1) X(shr, simple, 1) X(gcd, special, 8)

#define NPU_SIM_TERNARY_FNS(X)                                                                    \
  X(where, simple, 1) X(fma, simple, 1) X(clamp, simple, 1) X(lerp, simple, 2)

// max and min propagate NaN; the arg variants write the first index of the extreme, NaN first.
#define NPU_SIM_REDUCE_FNS(X)                                                                     \
  X(sum) X(prod) X(max) X(min) X(any) X(all) X(argmax) X(argmin)

#define NPU_SIM_SCAN_FNS(X) X(sum) X(prod) X(max) X(min) X(logsumexp)

// uniform: [0, 1) with 24 (f32) or 53 (f64) random bits; normal: Box-Muller; bits: 32 or 64 raw
// bits into an integer tile. All draw from Philox4x32-10.
#define NPU_SIM_RANDOM_FNS(X) X(uniform) X(normal) X(bits)
// clang-format on

enum class Opcode : uint8_t {
#define NPU_SIM_ENUM(e, mnemonic, engine) e,
  NPU_SIM_OPCODES(NPU_SIM_ENUM)
#undef NPU_SIM_ENUM
};

#define NPU_SIM_ENUM(e, ...) e,
enum class ScalarFn : uint8_t { NPU_SIM_SCALAR_FNS(NPU_SIM_ENUM) };
enum class UnaryFn : uint8_t { NPU_SIM_UNARY_FNS(NPU_SIM_ENUM) };
enum class BinaryFn : uint8_t { NPU_SIM_BINARY_FNS(NPU_SIM_ENUM) };
enum class TernaryFn : uint8_t { NPU_SIM_TERNARY_FNS(NPU_SIM_ENUM) };
enum class ReduceFn : uint8_t { NPU_SIM_REDUCE_FNS(NPU_SIM_ENUM) };
enum class ScanFn : uint8_t { NPU_SIM_SCAN_FNS(NPU_SIM_ENUM) };
enum class RandomFn : uint8_t { NPU_SIM_RANDOM_FNS(NPU_SIM_ENUM) };
#undef NPU_SIM_ENUM

// How many passes an element-wise function takes, and through which lanes.
struct LaneCost {
  bool special;
  uint8_t passes;
};

inline constexpr int kOpcodeCount = 0
#define NPU_SIM_ENUM(e, mnemonic, engine) +1
    NPU_SIM_OPCODES(NPU_SIM_ENUM)
#undef NPU_SIM_ENUM
    ;

Engine engine_of(Opcode op);
std::string_view mnemonic(Opcode op);  // without the sub-function: "v", "v.reduce", "d.load"
int fn_count(Opcode op);               // 0 where the opcode has no sub-functions
// The sub-function's text as the assembler spells it ("add", "and", "exp", ...).
std::string_view fn_name(Opcode op, uint8_t fn);
std::optional<uint8_t> parse_fn(Opcode op, std::string_view text);
int scalar_operands(ScalarFn fn);
LaneCost lane_cost(Opcode op, uint8_t fn);  // v_unary, v_binary, v_ternary
// Does the element-wise function give truth values, computed as its sources alone ask?
bool is_predicate(Opcode op, uint8_t fn);
// Are the function's scalar operands reals? (i2f's are not, but its result is.)
bool takes_reals(ScalarFn fn);

}  // namespace npu::sim

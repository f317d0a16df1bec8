// Micro-kernels of the engines: tables of functions over contiguous spans, compiled once for AVX2
// and once for AVX-512, chosen at run time.
//
// The vector engine computes in three types: f32 (all floating types up to 32 bits), f64, and i64
// (all integers and bool). Spans of storage types are converted in chunks that stay in the L1
// cache. Functions may run in place: `out` may be one of the inputs, but must not overlap one
// otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/isa/dtype.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

enum class Compute : uint8_t { f32, f64, i64 };
inline constexpr int kComputeCount = 3;

// One element operand of a span: contiguous, or one value for all.
template <class T>
struct Span {
  const T* data;
  bool broadcast;
};

template <class T>
struct ElementwiseTable {
  using Unary = void (*)(T* out, const T* a, int64_t n);
  using Binary = void (*)(T* out, Span<T> a, Span<T> b, int64_t n);
  using Ternary = void (*)(T* out, Span<T> a, Span<T> b, Span<T> c, int64_t n);
  Unary unary[256];      // by UnaryFn; null: not defined for this type
  Binary binary[256];    // by BinaryFn. Comparisons and logic write 0 or 1
  Ternary ternary[256];  // by TernaryFn. where: a != 0 ? b : c
};

// Reductions of one contiguous span with a fixed tree, by ReduceFn: sum, prod, max, min.
inline constexpr int kSpanReductions = 4;

struct VectorTable {
  const char* name;  // "avx2", "avx512"
  bool fuses;        // its hosts run the code of sim/engine/jit
  ElementwiseTable<float> f32;
  ElementwiseTable<double> f64;
  ElementwiseTable<int64_t> i64;
  // Storage <-> compute. load[compute][dtype](out, in, n), store[compute][dtype](out, in, n).
  // Float to integer truncates (by way of 32 bits for i8 and i16, of 64 for u8); to b8 is != 0; to
  // narrower integers wraps; to f16/bf16 rounds to nearest even.
  void (*load[kComputeCount][kDTypeCount])(void* out, const void* in, int64_t n);
  void (*store[kComputeCount][kDTypeCount])(void* out, const void* in, int64_t n);
  float (*reduce_f32[kSpanReductions])(const float* in, int64_t n);
  double (*reduce_f64[kSpanReductions])(const double* in, int64_t n);
  int64_t (*reduce_i64[kSpanReductions])(const int64_t* in, int64_t n);

  // The four words of `blocks` consecutive Philox4x32-10 blocks (see sim/engine/random.h).
  void (*philox)(uint32_t* out, uint64_t key, uint64_t first_block, int64_t blocks);

  // Moves elements of 1, 2, 4 or 8 bytes: out[c * out_ld + r] = in[r * in_ld + c] for r < rows,
  // c < cols. Leading dimensions in elements. By log2 of the element's size.
  void (*transpose[4])(void* out, int64_t out_ld, const void* in, int64_t in_ld, int64_t rows,
                       int64_t cols);
  // 16-bit elements [rows, cols] to pairs of rows: out[r / 2][c][r % 2]; an odd last row is paired
  // with zeros.
  void (*interleave_rows16)(uint16_t* out, const uint16_t* in, int64_t ld, int64_t rows,
                            int64_t cols);
  // out[m, n] (+)= sum over k of a[m, k] * b[n, k], both with contiguous k. For few rows of a.
  void (*dot_f32)(float* out, int64_t out_ld, const float* a, int64_t a_ld, const float* b,
                  int64_t b_ld, int64_t m, int64_t n, int64_t k, bool accumulate);
  void (*dot_bf16)(float* out, int64_t out_ld, const uint16_t* a, int64_t a_ld, const uint16_t* b,
                   int64_t b_ld, int64_t m, int64_t n, int64_t k, bool accumulate);
};

const VectorTable& vector_table();  // the best that this host runs
// By name, or null where this host cannot run it.
const VectorTable* vector_table(const char* name);

}  // namespace npu::sim

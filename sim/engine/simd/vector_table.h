// Micro-kernels of the vector engine: tables of functions over contiguous spans, compiled once for
// AVX2 and once for AVX-512, chosen at run time.
//
// The engine computes in three types: f32 (all floating types up to 32 bits), f64, and i64 (all
// integers and bool). Spans of storage types are converted in chunks that stay in the L1 cache.
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

struct VectorTable {
  const char* name;  // "avx2", "avx512"
  ElementwiseTable<float> f32;
  ElementwiseTable<double> f64;
  ElementwiseTable<int64_t> i64;
  // Storage <-> compute. load[compute][dtype](out, in, n), store[compute][dtype](out, in, n).
  // Float to integer truncates; to b8 is != 0; to narrower integers wraps; to f16/bf16 rounds to
  // nearest even.
  void (*load[kComputeCount][kDTypeCount])(void* out, const void* in, int64_t n);
  void (*store[kComputeCount][kDTypeCount])(void* out, const void* in, int64_t n);
  // Reductions of one contiguous span with a fixed tree: 0 sum, 1 prod, 2 max, 3 min (ReduceFn).
  float (*reduce_f32[4])(const float* in, int64_t n);
  double (*reduce_f64[4])(const double* in, int64_t n);
  int64_t (*reduce_i64[4])(const int64_t* in, int64_t n);
};

const VectorTable& vector_table();  // the best that this host runs

}  // namespace npu::sim

// Registers of the instruction set that this file is compiled for, behind one interface.
//
// Everything in sim/engine/simd lives in the namespace npu::sim::NPU_SIMD (avx2 or avx512), so the
// two builds of a file never meet.
#pragma once

#include <immintrin.h>
#include <sleef.h>

#include <cstdint>

#include "sim/engine/simd/vector_table.h"

namespace npu::sim::NPU_SIMD {

#ifdef __AVX512F__
inline constexpr int kRegisterBytes = 64;
using Vf = __m512;
using Vd = __m512d;
#define NPU_SLEEF_F32(fn, accuracy) Sleef_##fn##f16_##accuracy##avx512f
#define NPU_SLEEF_F64(fn, accuracy) Sleef_##fn##d8_##accuracy##avx512f
#else
inline constexpr int kRegisterBytes = 32;
using Vf = __m256;
using Vd = __m256d;
#define NPU_SLEEF_F32(fn, accuracy) Sleef_##fn##f8_##accuracy##avx2
#define NPU_SLEEF_F64(fn, accuracy) Sleef_##fn##d4_##accuracy##avx2
#endif

template <class T>
inline constexpr int kLanes = kRegisterBytes / static_cast<int>(sizeof(T));

template <class T>
struct RegisterOf;
template <>
struct RegisterOf<float> {
  using type = Vf;
};
template <>
struct RegisterOf<double> {
  using type = Vd;
};
template <>
struct RegisterOf<int64_t> {
  typedef int64_t type __attribute__((vector_size(kRegisterBytes)));
};
template <class T>
using Register = typename RegisterOf<T>::type;

template <class V, class T>
inline V load(const T* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof(V));
  return value;
}

template <class V, class T>
inline void store(T* to, V value) {
  __builtin_memcpy(to, &value, sizeof(V));
}

// The last count < kLanes<T> elements; the other lanes are zero.
template <class T>
inline Register<T> load_tail(const T* from, int64_t count) {
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<Register<T>>(_mm512_maskz_loadu_ps((1u << count) - 1, from));
  } else {
    return reinterpret_cast<Register<T>>(_mm512_maskz_loadu_pd((1u << count) - 1, from));
  }
#else
  T lanes[kLanes<T>] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return load<Register<T>>(lanes);
#endif
}

template <class T>
inline void store_tail(T* to, Register<T> value, int64_t count) {
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(to, (1u << count) - 1, reinterpret_cast<Vf>(value));
  } else {
    _mm512_mask_storeu_pd(to, (1u << count) - 1, reinterpret_cast<Vd>(value));
  }
#else
  T lanes[kLanes<T>];
  store(lanes, value);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

// The parts of the table, each from the file of its name.
void fill_float_functions(VectorTable& table);
void fill_integer_functions(VectorTable& table);
void fill_conversions(VectorTable& table);
void fill_reductions(VectorTable& table);
void fill_random(VectorTable& table);
void fill_layout(VectorTable& table);
void fill_dot_products(VectorTable& table);

}  // namespace npu::sim::NPU_SIMD

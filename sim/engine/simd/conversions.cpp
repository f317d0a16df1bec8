// Between the types in which tiles are stored and those in which the vector engine computes.
#include <cstring>
#include <type_traits>

#include "sim/engine/simd/simd.h"

namespace npu::sim::NPU_SIMD {
namespace {

struct F16 {
  uint16_t bits;
};
struct Bf16 {
  uint16_t bits;
};
struct B8 {
  uint8_t value;
};

inline float to_float(Bf16 x) { return __builtin_bit_cast(float, uint32_t{x.bits} << 16); }

// Round to nearest even; NaN keeps no payload, so that rounding cannot make it an infinity.
inline Bf16 to_bf16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return {static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded)};
}

#ifdef __AVX512F__
inline constexpr int kHalves = 16;
inline Vf halves_to_floats(const void* in) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(in)));
}
inline void floats_to_halves(void* out, Vf x) {
  _mm256_storeu_si256(static_cast<__m256i*>(out), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#else
inline constexpr int kHalves = 8;
inline Vf halves_to_floats(const void* in) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(in)));
}
inline void floats_to_halves(void* out, Vf x) {
  _mm_storeu_si128(static_cast<__m128i*>(out), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#endif

void half_to_float(float* out, const F16* in, int64_t n) {
  int64_t i = 0;
  for (; i + kHalves <= n; i += kHalves) store(out + i, halves_to_floats(in + i));
  if (i < n) {
    F16 lanes[kHalves] = {};
    std::memcpy(lanes, in + i, static_cast<size_t>(n - i) * sizeof(F16));
    store_tail(out + i, halves_to_floats(lanes), n - i);
  }
}

void float_to_half(F16* out, const float* in, int64_t n) {
  int64_t i = 0;
  for (; i + kHalves <= n; i += kHalves) floats_to_halves(out + i, load<Vf>(in + i));
  if (i < n) {
    F16 lanes[kHalves];
    floats_to_halves(lanes, load_tail(in + i, n - i));
    std::memcpy(out + i, lanes, static_cast<size_t>(n - i) * sizeof(F16));
  }
}

// Between f16 and types other than f32 by way of f32, some registers at a time.
constexpr int64_t kStep = 256;

template <class To, class From>
inline To convert_one(From x) {
  if constexpr (std::is_same_v<From, Bf16>) {
    return convert_one<To>(to_float(x));
  } else if constexpr (std::is_same_v<From, B8>) {
    return static_cast<To>(x.value != 0);
  } else if constexpr (std::is_same_v<To, Bf16>) {
    return to_bf16(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, B8>) {
    return {static_cast<uint8_t>(x != 0)};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4) {
    using Wide = std::conditional_t<std::is_signed_v<To>, int32_t, int64_t>;
    return static_cast<To>(static_cast<Wide>(x));
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convert(void* to, const void* from, int64_t n) {
  To* out = static_cast<To*>(to);
  const From* in = static_cast<const From*>(from);
  if constexpr (std::is_same_v<To, From>) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(To));
  } else if constexpr (std::is_same_v<From, F16> && std::is_same_v<To, float>) {
    half_to_float(out, in, n);
  } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, F16>) {
    float_to_half(out, in, n);
  } else if constexpr (std::is_same_v<From, F16>) {
    float floats[kStep];
    for (int64_t i = 0; i < n; i += kStep) {
      const int64_t count = n - i < kStep ? n - i : kStep;
      half_to_float(floats, in + i, count);
      convert<To, float>(out + i, floats, count);
    }
  } else if constexpr (std::is_same_v<To, F16>) {
    float floats[kStep];
    for (int64_t i = 0; i < n; i += kStep) {
      const int64_t count = n - i < kStep ? n - i : kStep;
      convert<float, From>(floats, in + i, count);
      float_to_half(out + i, floats, count);
    }
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = convert_one<To>(in[i]);
  }
}

template <class T>
void fill_compute_type(VectorTable& table, Compute compute) {
  const auto add = [&]<class Storage>(DType type, Storage*) {
    table.load[static_cast<int>(compute)][static_cast<int>(type)] = convert<T, Storage>;
    table.store[static_cast<int>(compute)][static_cast<int>(type)] = convert<Storage, T>;
  };
  add(DType::f64, static_cast<double*>(nullptr));
  add(DType::f32, static_cast<float*>(nullptr));
  add(DType::f16, static_cast<F16*>(nullptr));
  add(DType::bf16, static_cast<Bf16*>(nullptr));
  add(DType::i64, static_cast<int64_t*>(nullptr));
  add(DType::i32, static_cast<int32_t*>(nullptr));
  add(DType::i16, static_cast<int16_t*>(nullptr));
  add(DType::i8, static_cast<int8_t*>(nullptr));
  add(DType::u8, static_cast<uint8_t*>(nullptr));
  add(DType::b8, static_cast<B8*>(nullptr));
}

}  // namespace

void fill_conversions(VectorTable& table) {
  fill_compute_type<float>(table, Compute::f32);
  fill_compute_type<double>(table, Compute::f64);
  fill_compute_type<int64_t>(table, Compute::i64);
}

}  // namespace npu::sim::NPU_SIMD

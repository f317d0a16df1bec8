// Products of few rows with the rows of a transposed matrix, which is how a decoder's weights lie:
// every row is read once, as it stands in memory, without packing.
#include "sim/engine/simd/simd.h"

namespace npu::sim::NPU_SIMD {
namespace {

#ifdef __AVX512F__
struct F32 {
  using Element = float;
  using Operand = __m512;
  static constexpr int kWidth = 16;
  static Operand load(const float* from) { return _mm512_loadu_ps(from); }
  static Operand load_tail(const float* from, int64_t count) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
  }
  static Vf multiply_add(Vf sum, Operand a, Operand b) { return _mm512_fmadd_ps(a, b, sum); }
};

struct Bf16 {
  using Element = uint16_t;
  using Operand = __m512bh;
  static constexpr int kWidth = 32;
  static Operand load(const uint16_t* from) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(from));
  }
  static Operand load_tail(const uint16_t* from, int64_t count) {
    return reinterpret_cast<__m512bh>(
        _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << count) - 1), from));
  }
  static Vf multiply_add(Vf sum, Operand a, Operand b) { return _mm512_dpbf16_ps(sum, a, b); }
};

inline float fold(Vf x) { return _mm512_reduce_add_ps(x); }

// The sums of four rows of four registers at once: row i in lanes 4 i to 4 i + 3.
inline Vf fold_4x4(const Vf (&sums)[4][4]) {
  Vf columns[4];  // lane group i: what is left of row i
  for (int j = 0; j < 4; ++j) {
    const Vf low = _mm512_add_ps(_mm512_shuffle_f32x4(sums[0][j], sums[1][j], 0x44),
                                 _mm512_shuffle_f32x4(sums[0][j], sums[1][j], 0xee));
    const Vf high = _mm512_add_ps(_mm512_shuffle_f32x4(sums[2][j], sums[3][j], 0x44),
                                  _mm512_shuffle_f32x4(sums[2][j], sums[3][j], 0xee));
    columns[j] =
        _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
  }
  Vf pairs[2];
  for (int j = 0; j < 2; ++j) {
    pairs[j] = _mm512_add_ps(_mm512_unpacklo_ps(columns[2 * j], columns[2 * j + 1]),
                             _mm512_unpackhi_ps(columns[2 * j], columns[2 * j + 1]));
  }
  return _mm512_add_ps(_mm512_shuffle_ps(pairs[0], pairs[1], 0x44),
                       _mm512_shuffle_ps(pairs[0], pairs[1], 0xee));
}
#else
struct F32 {
  using Element = float;
  using Operand = __m256;
  static constexpr int kWidth = 8;
  static Operand load(const float* from) { return _mm256_loadu_ps(from); }
  static Operand load_tail(const float* from, int64_t count) {
    return NPU_SIMD::load_tail(from, count);
  }
  static Vf multiply_add(Vf sum, Operand a, Operand b) { return _mm256_fmadd_ps(a, b, sum); }
};

struct Bf16 {
  using Element = uint16_t;
  using Operand = __m256;
  static constexpr int kWidth = 8;
  static Operand load(const uint16_t* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static Operand load_tail(const uint16_t* from, int64_t count) {
    uint16_t lanes[kWidth] = {};
    for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
    return load(lanes);
  }
  static Vf multiply_add(Vf sum, Operand a, Operand b) { return _mm256_fmadd_ps(a, b, sum); }
};

inline float fold(Vf x) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}
#endif

// kRows rows of a with kCols rows of b: each loaded once for the whole block.
template <class Type, int kRows, int kCols>
inline void dot_block(float* out, int64_t out_ld, const typename Type::Element* a, int64_t a_ld,
                      const typename Type::Element* b, int64_t b_ld, int64_t k, bool accumulate) {
  Vf sums[kRows][kCols] = {};
  const auto step = [&](auto&& read) {
    typename Type::Operand y[kCols];
    for (int j = 0; j < kCols; ++j) y[j] = read(b + j * b_ld);
    for (int i = 0; i < kRows; ++i) {
      const typename Type::Operand x = read(a + i * a_ld);
      for (int j = 0; j < kCols; ++j) sums[i][j] = Type::multiply_add(sums[i][j], x, y[j]);
    }
  };
  int64_t p = 0;
  for (; p + Type::kWidth <= k; p += Type::kWidth) {
    step([p](const auto* row) { return Type::load(row + p); });
  }
  if (p < k) {
    step([p, k](const auto* row) { return Type::load_tail(row + p, k - p); });
  }
#ifdef __AVX512F__
  if constexpr (kRows == 4 && kCols == 4) {
    const Vf folded = fold_4x4(sums);
    const __m128 rows[4] = {_mm512_extractf32x4_ps(folded, 0), _mm512_extractf32x4_ps(folded, 1),
                            _mm512_extractf32x4_ps(folded, 2), _mm512_extractf32x4_ps(folded, 3)};
    for (int i = 0; i < 4; ++i) {
      float* to = out + i * out_ld;
      _mm_storeu_ps(to, accumulate ? _mm_add_ps(rows[i], _mm_loadu_ps(to)) : rows[i]);
    }
    return;
  }
#endif
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kCols; ++j) {
      float& to = out[i * out_ld + j];
      to = fold(sums[i][j]) + (accumulate ? to : 0.0f);
    }
  }
}

template <class Type, int kRows>
void dot_rows(float* out, int64_t out_ld, const typename Type::Element* a, int64_t a_ld,
              const typename Type::Element* b, int64_t b_ld, int64_t n, int64_t k,
              bool accumulate) {
  constexpr int kCols = 4;
  int64_t j = 0;
  for (; j + kCols <= n; j += kCols) {
    dot_block<Type, kRows, kCols>(out + j, out_ld, a, a_ld, b + j * b_ld, b_ld, k, accumulate);
  }
  for (; j < n; ++j) {
    dot_block<Type, kRows, 1>(out + j, out_ld, a, a_ld, b + j * b_ld, b_ld, k, accumulate);
  }
}

template <class Type>
void dot(float* out, int64_t out_ld, const typename Type::Element* a, int64_t a_ld,
         const typename Type::Element* b, int64_t b_ld, int64_t m, int64_t n, int64_t k,
         bool accumulate) {
  constexpr int kRows = kRegisterBytes == 64 ? 4 : 2;  // sums for kRows x 4 stay in registers
  int64_t i = 0;
  for (; i + kRows <= m; i += kRows) {
    dot_rows<Type, kRows>(out + i * out_ld, out_ld, a + i * a_ld, a_ld, b, b_ld, n, k, accumulate);
  }
  for (; i < m; ++i) {
    dot_rows<Type, 1>(out + i * out_ld, out_ld, a + i * a_ld, a_ld, b, b_ld, n, k, accumulate);
  }
}

}  // namespace

void fill_dot_products(VectorTable& table) {
  table.dot_f32 = dot<F32>;
  table.dot_bf16 = dot<Bf16>;
}

}  // namespace npu::sim::NPU_SIMD

// Moving elements: transposes and the interleaving that bf16 products want.
#include <algorithm>
#include <cstring>

#include "sim/engine/simd/simd.h"

namespace npu::sim::NPU_SIMD {
namespace {

// 8 x 8 elements of four bytes.
inline void transpose_8x8(uint32_t* out, int64_t out_ld, const uint32_t* in, int64_t in_ld) {
  __m256 row[8];
  for (int i = 0; i < 8; ++i) {
    row[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(in + i * in_ld));
  }
  __m256 pair[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
  }
  __m256 quad[8];
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);
    quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(reinterpret_cast<float*>(out + i * out_ld),
                     _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20));
    _mm256_storeu_ps(reinterpret_cast<float*>(out + (i + 4) * out_ld),
                     _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31));
  }
}

// Elements may be pairs of 16-bit values, which stand where 32-bit ones may not.
template <class T>
void transpose_corner(T* out, int64_t out_ld, const T* in, int64_t in_ld, int64_t rows,
                      int64_t cols) {
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(out + c * out_ld + r, in + r * in_ld + c, sizeof(T));
    }
  }
}

// Bands of rows that fill a cache line of the output: every input row is read from end to end,
// which the host's prefetchers follow, and every output line is written at once.
template <class T>
void transpose(void* to, int64_t out_ld, const void* from, int64_t in_ld, int64_t rows,
               int64_t cols) {
  T* out = static_cast<T*>(to);
  const T* in = static_cast<const T*>(from);
  constexpr int64_t kEdge = 8;
  constexpr int64_t kBand = 64 / sizeof(T) > kEdge ? 64 / sizeof(T) : kEdge;
  for (int64_t r0 = 0; r0 < rows; r0 += kBand) {
    const int64_t height = std::min(kBand, rows - r0);
    int64_t c = 0;
    for (; c + kEdge <= cols; c += kEdge) {
      int64_t r = 0;
      for (; r + kEdge <= height; r += kEdge) {
        T* block = out + c * out_ld + r0 + r;
        if constexpr (sizeof(T) == 4) {
          transpose_8x8(block, out_ld, in + (r0 + r) * in_ld + c, in_ld);
        } else {
          transpose_corner(block, out_ld, in + (r0 + r) * in_ld + c, in_ld, kEdge, kEdge);
        }
      }
      transpose_corner(out + c * out_ld + r0 + r, out_ld, in + (r0 + r) * in_ld + c, in_ld,
                       height - r, kEdge);
    }
    transpose_corner(out + c * out_ld + r0, out_ld, in + r0 * in_ld + c, in_ld, height, cols - c);
  }
}

void interleave_rows16(uint16_t* out, const uint16_t* in, int64_t ld, int64_t rows, int64_t cols) {
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2, out += 2 * cols, in += 2 * ld) {
    const uint16_t* even = in;
    const uint16_t* odd = in + ld;
    int64_t c = 0;
    for (; c + 16 <= cols; c += 16) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(even + c));
      const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd + c));
      const __m256i low = _mm256_unpacklo_epi16(x, y);
      const __m256i high = _mm256_unpackhi_epi16(x, y);
      auto* to = reinterpret_cast<__m256i*>(out + 2 * c);
      _mm256_storeu_si256(to, _mm256_permute2x128_si256(low, high, 0x20));
      _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(low, high, 0x31));
    }
    for (; c < cols; ++c) {
      out[2 * c] = even[c];
      out[2 * c + 1] = odd[c];
    }
  }
  if (r < rows) {
    for (int64_t c = 0; c < cols; ++c) {
      out[2 * c] = in[c];
      out[2 * c + 1] = 0;
    }
  }
}

}  // namespace

void fill_layout(VectorTable& table) {
  table.transpose[0] = transpose<uint8_t>;
  table.transpose[1] = transpose<uint16_t>;
  table.transpose[2] = transpose<uint32_t>;
  table.transpose[3] = transpose<uint64_t>;
  table.interleave_rows16 = interleave_rows16;
}

}  // namespace npu::sim::NPU_SIMD

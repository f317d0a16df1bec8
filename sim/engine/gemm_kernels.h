// LIBXSMM's just-in-time kernels behind row-major names.
#pragma once

#include <cstdint>

namespace npu::sim {

// Row-major c[m, n] (+)= a[m, k] @ b[k, n], leading dimensions in elements. They return false, and
// do nothing, where LIBXSMM has no kernel for the host.
struct GemmShape {
  int64_t m, n, k;
  int64_t lda, ldb, ldc;
  bool accumulate;
};

// `transpose_a`: a is [k, m].
bool gemm_f32(const GemmShape& shape, bool transpose_a, float* c, const float* a, const float* b);
bool gemm_f64(const GemmShape& shape, bool transpose_a, double* c, const double* a,
              const double* b);

// k is even and b is [k / 2, n, 2]; ldb counts such pairs.
bool has_gemm_bf16();
bool gemm_bf16(const GemmShape& shape, float* c, const uint16_t* a, const uint16_t* b);

}  // namespace npu::sim

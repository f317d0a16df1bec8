#include "sim/engine/gemm_kernels.h"

#include <libxsmm.h>

namespace npu::sim {
namespace {

// LIBXSMM is column-major: what it sees is c^T = b^T @ a^T, so its operands are b, then a.
template <class Dispatch, class Alpha>
auto find_kernel(Dispatch dispatch, const GemmShape& shape, int flags, Alpha one) {
  const auto lda = static_cast<libxsmm_blasint>(shape.ldb);
  const auto ldb = static_cast<libxsmm_blasint>(shape.lda);
  const auto ldc = static_cast<libxsmm_blasint>(shape.ldc);
  const Alpha beta = shape.accumulate ? one : Alpha(0);
  const int prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  return dispatch(static_cast<libxsmm_blasint>(shape.n), static_cast<libxsmm_blasint>(shape.m),
                  static_cast<libxsmm_blasint>(shape.k), &lda, &ldb, &ldc, &one, &beta, &flags,
                  &prefetch);
}

int flags_of(bool transpose_a) {
  return transpose_a ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
}

}  // namespace

bool gemm_f32(const GemmShape& shape, bool transpose_a, float* c, const float* a, const float* b) {
  const auto kernel = find_kernel(libxsmm_smmdispatch, shape, flags_of(transpose_a), 1.0f);
  if (kernel == nullptr) return false;
  kernel(b, a, c);
  return true;
}

bool gemm_f64(const GemmShape& shape, bool transpose_a, double* c, const double* a,
              const double* b) {
  const auto kernel = find_kernel(libxsmm_dmmdispatch, shape, flags_of(transpose_a), 1.0);
  if (kernel == nullptr) return false;
  kernel(b, a, c);
  return true;
}

bool has_gemm_bf16() {
  static const bool has = [] {
    const GemmShape any{64, 64, 64, 64, 64, 64, false};
    return find_kernel(libxsmm_bsmmdispatch, any, LIBXSMM_GEMM_FLAG_VNNI_A, 1.0f) != nullptr;
  }();
  return has;
}

bool gemm_bf16(const GemmShape& shape, float* c, const uint16_t* a, const uint16_t* b) {
  const auto kernel = find_kernel(libxsmm_bsmmdispatch, shape, LIBXSMM_GEMM_FLAG_VNNI_A, 1.0f);
  if (kernel == nullptr) return false;
  kernel(b, a, c);
  return true;
}

}  // namespace npu::sim

// Matrix products on the matrix engine.
#pragma once

#include "npu/kernels/tensor.h"

namespace npu::kernels {

enum class Activation { none, relu, gelu, gelu_tanh, silu, sigmoid, tanh };

struct MatmulEpilogue {
  // out = activation(alpha * (a @ b) + beta * bias). bias is undefined or broadcastable to out's
  // sizes (stride 0), of any implemented dtype.
  Tensor bias;
  Scalar alpha = 1.0;
  Scalar beta = 1.0;
  Activation activation = Activation::none;
};

// out [B..., M, N] = a [B..., M, K] @ b [B..., K, N], rank 2 or 3, any strides (broadcast batches
// have stride 0); a and b of one dtype. 16-bit products accumulate in f32, fp32 products are true
// fp32; integers in i64. K == 0 gives the epilogue of zero.
npuStatus matmul(const Tensor& out, const Tensor& a, const Tensor& b,
                 const MatmulEpilogue& epilogue, npuStream stream);

// The time of the library's own kernel without touching data: what `npu-torch time gemm` prints.
struct KernelTime {
  double ns = 0;         // launch cost included
  double device_ns = 0;  // without
  uint64_t cycles = 0;
  double matrix_utilization = 0;
  double hbm_utilization = 0;
  npuCounters counters = {};
  const char* bound_by = "";
};
// `machine`: preset or path, with `overrides` ("key=VALUE" or "key=xFACTOR").
npuStatus time_matmul(int64_t m, int64_t k, int64_t n, npuDataType dtype, const char* machine,
                      std::span<const char* const> overrides, KernelTime* time);

}  // namespace npu::kernels

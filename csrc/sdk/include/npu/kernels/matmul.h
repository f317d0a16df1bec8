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

}  // namespace npu::kernels

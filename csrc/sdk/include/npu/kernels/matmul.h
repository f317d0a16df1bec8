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

struct GroupedMatmulOptions {
  // For T grouped rows. gather [T]: grouped row i is row gather[i] / gather_divisor of a. scatter
  // [T]: its result is row scatter[i] of out. Both i32 or i64; rows of a and out have a stride.
  Tensor gather = {};
  int64_t gather_divisor = 1;
  Tensor scatter = {};
  // [rows of out], f32: a factor for each, before it is rounded.
  Tensor row_scale = {};
};

// Products of G groups. ends [G] (i32 or i64, ascending) are where groups end; each begins where
// the one before ends.
//   out [T, N] = a [T, K] @ b [G, K, N]: groups of rows; with options they may come from anywhere
//   out [M, T] = a [G, M, K] @ b [K, T]: groups of columns
//   out [G, M, N] = a [M, T] @ b [T, N]: groups of the summed dimension; empty ones give zeros
// Any strides; a and b of one floating dtype; accumulation as in matmul. What lies beyond the last
// end is neither read nor written.
npuStatus grouped_matmul(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& ends,
                         const GroupedMatmulOptions& options, npuStream stream);

}  // namespace npu::kernels

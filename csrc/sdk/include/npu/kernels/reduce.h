// Reductions, scans, softmax and norms.
#pragma once

#include "npu/kernels/tensor.h"

namespace npu::kernels {

enum class Reduction {
  sum,
  nansum,
  mean,
  prod,
  max,
  min,
  any,
  all,
  norm0,
  norm1,
  norm2,
  norm_inf,
  norm_neg_inf,
  norm_p,  // norm_p: scalar p
  var,
  std,  // scalar: correction (real, so that torch's numbers fit)
  logsumexp,
  count_nonzero
};

// `in` and `out` have the same rank; where out.sizes[d] == 1 != in.sizes[d] dimension d is reduced
// (mark reduced dimensions of size 1 by `reduced` bit d). Accumulates in f32 (f64 for f64, i64 for
// integers) in a fixed tree; out may be of any implemented dtype.
npuStatus reduce(Reduction op, const Tensor& out, const Tensor& in, uint32_t reduced, Scalar scalar,
                 npuStream stream);

// Values and/or first indices (i64, within dimension `dim`) of the extreme along one dimension;
// `values` or `indices` may be undefined. NaN is the extreme. out.sizes[dim] == 1.
npuStatus arg_reduce(bool largest, const Tensor& values, const Tensor& indices, const Tensor& in,
                     int dim, npuStream stream);

enum class Scan { sum, prod, max, min, logsumexp };
// Inclusive, along `dim`. For max and min `indices` (i64) may be defined: the last index that set
// the running extreme, as torch.cummax gives it.
npuStatus scan(Scan op, const Tensor& out, const Tensor& indices, const Tensor& in, int dim,
               npuStream stream);

// softmax or log_softmax along `dim`; computes in f32 (f64 for f64).
npuStatus softmax(const Tensor& out, const Tensor& in, int dim, bool log, npuStream stream);
// grad_in from grad_out and the forward's output.
npuStatus softmax_backward(const Tensor& grad_in, const Tensor& grad_out, const Tensor& out,
                           int dim, bool log, npuStream stream);

// x: [rows, cols] views (unit column stride), weight/bias: [cols] or undefined.
// y = x * rsqrt(mean(x^2) + eps) * (weight + weight_offset). weight_offset 1 is Gemma's form. The
// factor of each row goes to rstd [rows] f32 (f64 for f64), if that is defined.
npuStatus rms_norm(const Tensor& y, const Tensor& x, const Tensor& weight, double eps,
                   double weight_offset, npuStream stream, const Tensor& rstd = {});
// residual += x, then y = rms_norm(residual). y may be x.
npuStatus fused_add_rms_norm(const Tensor& y, const Tensor& residual, const Tensor& x,
                             const Tensor& weight, double eps, double weight_offset,
                             npuStream stream);
// mean and rstd [rows] f32 (f64 for f64) may be undefined.
npuStatus layer_norm(const Tensor& y, const Tensor& mean, const Tensor& rstd, const Tensor& x,
                     const Tensor& weight, const Tensor& bias, double eps, npuStream stream);

}  // namespace npu::kernels

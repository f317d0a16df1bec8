// Functions that SLEEF does not have: inverse error function and digamma, in double precision.
#pragma once

namespace npu::sim {

// +-infinity at +-1, NaN beyond.
double erfinv(double y);

// Minus or plus infinity at plus or minus zero, NaN at the negative integers.
double digamma(double x);

// erf(x) / x by polynomials in d = |x| - k / 8, |d| <= 1 / 16, for k = 0..31: the coefficient of
// d^i is coefficient[i][k]. Within 3e-8 of it, relative, before it is multiplied out in f32.
struct ErfTable {
  static constexpr int kSegments = 32;
  static constexpr int kDegree = 4;
  alignas(64) float coefficient[kDegree + 1][kSegments];
};
const ErfTable& erf_table();

}  // namespace npu::sim

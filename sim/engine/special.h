// Functions that SLEEF does not have, or not as fast: inverse error function and digamma in double
// precision, and the constants of exp and erf in f32, which are evaluated by vectors.
#pragma once

namespace npu::sim {

// +-infinity at +-1, NaN beyond.
double erfinv(double y);

// Minus or plus infinity at plus or minus zero, NaN at the negative integers.
double digamma(double x);

// e^x = 2^n e^r with n the nearest integer to x / ln(2), and Taylor's series of e^r.
struct ExpSeries {
  static constexpr float kFarthest = 170;  // beyond, the result is infinite or zero
  static constexpr float kPerLog2 = 0x1.715476p0f;
  static constexpr float kLog2High = 0x1.62e4p-1f;  // n times this is exact
  static constexpr float kLog2Low = 0x1.7f7d1cp-20f;
  static constexpr float kFirst = 1.0f / 5040;  // of r^7; then of r^6 to r^2
  static constexpr float kCoefficients[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f};
};

// erf(x) / x by polynomials in d = |x| - k / 8, |d| <= 1 / 16, for k = 0..31: the coefficient of
// d^i is coefficient[i][k]. Within 3e-8 of it, relative, before it is multiplied out in f32.
struct ErfTable {
  static constexpr int kSegments = 32;
  static constexpr int kDegree = 4;
  static constexpr float kOne = 3.92f;          // from here on the polynomial gives 1
  static constexpr float kEighths = 0x1.8p20f;  // added to |x|, it leaves the multiple of 1/8
  alignas(64) float coefficient[kDegree + 1][kSegments];
};
const ErfTable& erf_table();

}  // namespace npu::sim

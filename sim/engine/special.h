// Functions that SLEEF does not have: inverse error function and digamma, in double precision.
#pragma once

namespace npu::sim {

// +-infinity at +-1, NaN beyond.
double erfinv(double y);

// Minus or plus infinity at plus or minus zero, NaN at the negative integers.
double digamma(double x);

}  // namespace npu::sim

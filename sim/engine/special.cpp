#include "sim/engine/special.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace npu::sim {

double erfinv(double y) {
  const double magnitude = std::fabs(y);
  if (!(magnitude < 1)) {
    return magnitude == 1 ? std::copysign(std::numeric_limits<double>::infinity(), y)
                          : std::numeric_limits<double>::quiet_NaN();
  }
  // A rational start, of seven digits in the middle and three at the far end, then Newton's method
  // on erf, or on erfc in the tail, where 1 - |y| is exact and the difference does not cancel.
  constexpr double kSlope = std::numbers::inv_sqrtpi * 2;
  if (magnitude <= 0.7) {
    const double z = y * y;
    double x = y * (((-0.140543331 * z + 0.914624893) * z - 1.645349621) * z + 0.886226899) /
               ((((0.012229801 * z - 0.329097515) * z + 1.442710462) * z - 2.118377725) * z + 1);
    for (int i = 0; i < 2; ++i) x -= (std::erf(x) - y) / (kSlope * std::exp(-x * x));
    return x;
  }
  const double tail = 1 - magnitude;
  const double z = std::sqrt(-std::log(tail / 2));
  double x = (((1.641345311 * z + 3.429567803) * z - 1.624906493) * z - 1.970840454) /
             ((1.637067800 * z + 3.543889200) * z + 1);
  for (int i = 0; i < 4; ++i) x += (std::erfc(x) - tail) / (kSlope * std::exp(-x * x));
  return std::copysign(x, y);
}

double digamma(double x) {
  if (x == 0) return std::copysign(std::numeric_limits<double>::infinity(), -x);
  if (std::isinf(x)) return x > 0 ? x : std::numeric_limits<double>::quiet_NaN();
  double result = 0;
  if (x < 0) {
    // Reflection: psi(x) = psi(1 - x) - pi / tan(pi x), on the fraction of x for accuracy.
    const double fraction = x - std::trunc(x);
    if (fraction == 0) return std::numeric_limits<double>::quiet_NaN();
    result = -std::numbers::pi / std::tan(std::numbers::pi * fraction);
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  // The asymptotic series in Bernoulli numbers; at 10 its seventh term is below 1e-16.
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 -
           z * (1.0 / 120 -
                z * (1.0 / 252 -
                     z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z * (1.0 / 12)))))));
  return result + std::log(x) - 0.5 / x - series;
}

const ErfTable& erf_table() {
  static const ErfTable table = [] {
    constexpr int kNodes = ErfTable::kDegree + 1;
    ErfTable made;
    for (int k = 0; k < ErfTable::kSegments; ++k) {
      // Newton's interpolation at Chebyshev's nodes.
      double node[kNodes];
      double difference[kNodes];
      for (int i = 0; i < kNodes; ++i) {
        node[i] = std::cos((2 * i + 1) * std::numbers::pi / (2 * kNodes)) / 16;
        const double x = std::abs(k / 8.0 + node[i]);
        difference[i] = std::erf(x) / x;
      }
      for (int order = 1; order < kNodes; ++order) {
        for (int i = kNodes - 1; i >= order; --i) {
          difference[i] = (difference[i] - difference[i - 1]) / (node[i] - node[i - order]);
        }
      }
      double power[kNodes] = {difference[kNodes - 1]};
      for (int i = kNodes - 2; i >= 0; --i) {
        for (int p = kNodes - 1; p > 0; --p) power[p] = power[p - 1] - node[i] * power[p];
        power[0] = difference[i] - node[i] * power[0];
      }
      for (int p = 0; p < kNodes; ++p) made.coefficient[p][k] = static_cast<float>(power[p]);
    }
    return made;
  }();
  return table;
}

}  // namespace npu::sim

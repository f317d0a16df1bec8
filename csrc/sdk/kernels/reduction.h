// How results of the reduction functions start and combine.
#pragma once

#include <limits>

#include "csrc/sdk/builder/builder.h"

namespace npu::kernels {

// The value that changes nothing, of the smallest or largest kind where that is what it takes.
inline sdk::Value identity(sdk::ReduceFn fn, bool real) {
  using Integers = std::numeric_limits<int64_t>;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  switch (fn) {
    case sdk::ReduceFn::prod:
      return 1;
    case sdk::ReduceFn::max:
      return real ? sdk::Value(-kInfinity) : sdk::Value(Integers::min());
    case sdk::ReduceFn::min:
      return real ? sdk::Value(kInfinity) : sdk::Value(Integers::max());
    default:
      return 0;
  }
}

inline sdk::BinaryFn combiner(sdk::ReduceFn fn) {
  switch (fn) {
    case sdk::ReduceFn::prod:
      return sdk::BinaryFn::mul;
    case sdk::ReduceFn::max:
      return sdk::BinaryFn::max;
    case sdk::ReduceFn::min:
      return sdk::BinaryFn::min;
    default:
      return sdk::BinaryFn::add;
  }
}

}  // namespace npu::kernels

// How the kernel library sees a tensor: a strided view of device memory.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "npu/npu.h"

namespace npu::kernels {

inline constexpr int kMaxRank = 16;

// A scalar operand: real for floating computation, integer otherwise; both are filled.
struct Scalar {
  double real = 0;
  int64_t integer = 0;
  Scalar() = default;
  Scalar(double value) : real(value), integer(static_cast<int64_t>(value)) {}
  Scalar(int64_t value) : real(static_cast<double>(value)), integer(value) {}
  Scalar(int value) : Scalar(static_cast<int64_t>(value)) {}
  Scalar(bool value) : Scalar(static_cast<int64_t>(value)) {}
};

struct Tensor {
  void* data = nullptr;  // device address of the first element (storage offset included)
  npuDataType dtype = NPU_F32;
  int rank = 0;
  std::array<int64_t, kMaxRank> sizes = {};
  std::array<int64_t, kMaxRank> strides = {};  // in elements; 0 broadcasts, negative is allowed
  // Inputs of elementwise() only: where data is null the operand is this value for every element
  // (of type `dtype`), passed as an argument of the program instead of through memory.
  Scalar immediate;

  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= sizes[i];
    return n;
  }
  bool defined() const { return data != nullptr; }
};

using TensorSpan = std::span<const Tensor>;
using ScalarSpan = std::span<const Scalar>;

}  // namespace npu::kernels

// The loop nest that a kernel runs over: tensors of equal sizes, seen as few dimensions as
// possible.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "npu/kernels/tensor.h"

namespace npu::kernels {

// Two tensors and an index for each dimension.
inline constexpr int kMaxIterationTensors = 2 + kMaxRank;

// Dimensions stand innermost first here, as the loops that unroll them count.
struct Iteration {
  int rank = 0;  // 0: one element
  int tensors = 0;
  std::array<int64_t, kMaxRank> size = {};
  std::array<std::array<int64_t, kMaxRank>, kMaxIterationTensors> stride = {};  // [tensor][dim]

  int64_t numel() const;
  // Sorts dimensions by the first tensor's strides, so that its memory is walked in order.
  void sort_by_first();
  // Joins neighbouring dimensions that all tensors walk as one.
  void coalesce();
};

// The dimensions of `tensors`, which have equal sizes, but for those of size 1. Immediates count as
// broadcast.
Iteration make_iteration(std::span<const Tensor* const> tensors);

// Fails with NPU_ERROR_INVALID_VALUE (or NPU_ERROR_UNIMPLEMENTED for dtypes without an engine)
// naming the kernel and the operand.
npuStatus check_tensor(std::string_view kernel, std::string_view operand, const Tensor& tensor);
npuStatus check_same_sizes(std::string_view kernel, const Tensor& expected, const Tensor& actual);

}  // namespace npu::kernels

// What sort and topk share: sorting the lines of tensors along one dimension, by tiles.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "csrc/sdk/kernels/iteration.h"
#include "npu/kernels/tensor.h"
#include "sim/arch/machine.h"
#include "sim/isa/dtype.h"

namespace npu::kernels {

npuStatus check_sort(std::string_view kernel, const Tensor& values, const Tensor& indices,
                     const Tensor& in, int dim);

// A loop nest whose dimension 0 is `dim` of the tensors; the sizes are those of the last one.
Iteration make_lines(std::span<const Tensor* const> tensors, int dim);

// Keys and where in their line they came from (i64), of the same sizes.
struct SortedLines {
  Tensor keys;
  Tensor positions;
};

// Lines of at most so many elements are sorted as they are.
int64_t longest_line(const sim::Machine& machine, sim::DType key);

struct SortParts {
  bool descending = false;
  int64_t part = 0;  // elements of a line that one tile sorts
  int64_t keep = 0;  // of each part so many are written, next to each other
};
// Sorts each part of the lines of `in` into `out`. Positions of `in` are undefined for the places
// in the line itself.
npuStatus sort_parts(const SortedLines& out, const SortedLines& in, int dim, const SortParts& how,
                     npuStream stream);

// Scratch memory until the end of the scope, for lines of `length` elements in place of those of
// `like` along `dim`.
class ScratchLines {
 public:
  ScratchLines(const Tensor& like, int dim, int64_t length, npuStream stream);
  ~ScratchLines();
  ScratchLines(const ScratchLines&) = delete;
  ScratchLines& operator=(const ScratchLines&) = delete;

  npuStatus status() const { return status_; }
  const SortedLines& lines() const { return lines_; }

 private:
  npuStream stream_;
  void* memory_ = nullptr;
  npuStatus status_;
  SortedLines lines_;
};

}  // namespace npu::kernels

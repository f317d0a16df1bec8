// Few long lines would leave cores idle: their parts become lines of their own, and a second launch
// joins the parts' results.
#pragma once

#include "npu/kernels/tensor.h"
#include "sim/arch/machine.h"

namespace npu::kernels {

// A contiguous tensor at `data` of the sizes of `like`, but for lines of `length` elements along
// `dim`, which are the innermost.
Tensor contiguous_lines(const Tensor& like, int dim, int64_t length, void* data, npuDataType type);

// The lines of a tensor along one dimension, in equal parts.
class LineParts {
 public:
  LineParts(const Tensor& in, int dim, int64_t parts) : in_(in), dim_(dim), parts_(parts) {}

  int64_t length() const { return in_.sizes[dim_] / parts_; }  // of a part
  int64_t count() const;                                       // of all parts

  // A tensor of the sizes of `in` with the parts as a dimension of their own: `dim`, before that of
  // their elements.
  Tensor split(const Tensor& tensor) const;

  // At `data`, contiguous, one element for each part, the parts of a line side by side. As lines:
  // the sizes of `in`, but for as many elements of a line as there are parts.
  Tensor results(void* data, npuDataType type) const {
    return contiguous_lines(in_, dim_, parts_, data, type);
  }
  // The same as that of split(in) with one element a line.
  Tensor as_elements(const Tensor& results) const;
  // All parts' results for each part: of the sizes of split(in), but for the last dimension.
  Tensor as_lines(const Tensor& results) const;

 private:
  Tensor widen(const Tensor& tensor) const;  // makes room for the parts' dimension

  const Tensor& in_;
  int dim_;
  int64_t parts_;
};

// The least number of equal parts, `wanted` or more, up to twice that, else the largest below; 1 if
// there is none.
int64_t equal_parts(int64_t length, int64_t wanted);

}  // namespace npu::kernels

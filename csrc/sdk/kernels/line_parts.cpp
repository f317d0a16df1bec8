#include "csrc/sdk/kernels/line_parts.h"

namespace npu::kernels {

Tensor contiguous_lines(const Tensor& like, int dim, int64_t length, void* data, npuDataType type) {
  Tensor lines = like;
  lines.data = data;
  lines.dtype = type;
  lines.sizes[dim] = length;
  lines.strides[dim] = 1;
  int64_t stride = length;
  for (int d = like.rank - 1; d >= 0; --d) {
    if (d == dim) continue;
    lines.strides[d] = stride;
    stride *= like.sizes[d];
  }
  return lines;
}

int64_t LineParts::count() const { return in_.numel() / in_.sizes[dim_] * parts_; }

Tensor LineParts::widen(const Tensor& tensor) const {
  Tensor wide = tensor;
  for (int d = in_.rank; d > dim_; --d) {
    wide.sizes[d] = in_.sizes[d - 1];
    wide.strides[d] = tensor.strides[d - 1];
  }
  ++wide.rank;
  wide.sizes[dim_] = parts_;
  wide.sizes[dim_ + 1] = length();
  return wide;
}

Tensor LineParts::split(const Tensor& tensor) const {
  Tensor split = widen(tensor);
  split.strides[dim_] = tensor.strides[dim_] * length();
  return split;
}

Tensor LineParts::as_elements(const Tensor& results) const {
  Tensor elements = widen(results);
  elements.strides[dim_] = 1;
  elements.sizes[dim_ + 1] = 1;
  elements.strides[dim_ + 1] = 0;
  return elements;
}

Tensor LineParts::as_lines(const Tensor& results) const {
  Tensor lines = widen(results);
  lines.strides[dim_] = 0;
  lines.sizes[dim_ + 1] = parts_;
  lines.strides[dim_ + 1] = 1;
  return lines;
}

int64_t equal_parts(int64_t length, int64_t wanted) {
  for (int64_t parts = wanted; parts < 2 * wanted; ++parts) {
    if (length % parts == 0) return parts;
  }
  int64_t parts = wanted;
  while (parts > 1 && length % parts != 0) --parts;
  return parts;
}

}  // namespace npu::kernels

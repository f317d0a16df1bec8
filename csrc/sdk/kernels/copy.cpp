#include "npu/kernels/elementwise.h"

namespace npu::kernels {

npuStatus copy(const Tensor& dst, const Tensor& src, npuStream stream) {
  static const ElementwiseOp* const op = find_elementwise("copy");
  return elementwise(op, {&dst, 1}, {&src, 1}, {}, stream);
}

}  // namespace npu::kernels

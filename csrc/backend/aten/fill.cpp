// One value for all elements.
#include <ATen/ops/view_as_real.h>
#include <npu/kernels/elementwise.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/scalar.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;

Tensor& fill_scalar(Tensor& self, const Scalar& value) {
  check_fits(value, self.scalar_type());
  if (self.numel() > 0) {
    NPU_CHECK(kernels::fill(to_kernel(self), to_kernel(value), stream_of(self)));
  }
  return self;
}

Tensor& fill_tensor(Tensor& self, const Tensor& value) {
  TORCH_CHECK(value.dim() == 0, "fill_ only supports 0-dimension value tensor but got tensor with ",
              value.dim(), " dimensions.");
  if (!is_npu(value)) return self.fill_(value.item());
  return self.copy_(value);
}

// Zero is the same bits in every dtype.
Tensor& zero(Tensor& self) {
  if (self.numel() == 0) return self;
  if (self.is_non_overlapping_and_dense()) {
    NPU_CHECK(npuMemsetAsync(self.data_ptr(), 0, self.nbytes(), stream_of(self)));
    return self;
  }
  if (self.is_complex()) {
    at::view_as_real(self).zero_();
    return self;
  }
  return self.fill_(0);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"fill_.Scalar", &fill_scalar>(m);
  impl<"fill_.Tensor", &fill_tensor>(m);
  m.impl("zero_", &zero);
}

}  // namespace
}  // namespace npu::backend

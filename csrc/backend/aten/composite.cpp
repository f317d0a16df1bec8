// Ops that are a few others in a row.
#include <ATen/ExpandUtils.h>
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/addbmm_native.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/linalg_cross_meta.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsub_native.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/where.h>

#include <numbers>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;

Tensor widened(const Tensor& tensor) { return tensor.to(at::toOpMathType(tensor.scalar_type())); }

// 0 or pi by the sign; NaN stays.
Tensor phase(const Tensor& self) {
  const Tensor x = at::isIntegralType(self.scalar_type(), /*includeBool=*/true)
                       ? self.to(at::typeMetaToScalarType(at::get_default_dtype()))
                       : self;
  const Tensor angle = (x < 0).to(x.scalar_type()) * std::numbers::pi;
  return at::where(at::isnan(x), x, angle);
}

Tensor& phase_out(const Tensor& self, Tensor& out) {
  const Tensor result = phase(self);
  TORCH_CHECK(at::canCast(result.scalar_type(), out.scalar_type()), "result type ",
              result.scalar_type(), " can't be cast to the desired output type ",
              out.scalar_type());
  at::native::resize_output(out, result.sizes());
  return out.copy_(result);
}

struct Cross : at::meta::structured_linalg_cross {
  void impl(const Tensor& self, const Tensor& other, int64_t dim, const Tensor& out) {
    const Tensor a = widened(self).expand(out.sizes());
    const Tensor b = widened(other).expand(out.sizes());
    const auto component = [&](int64_t i) {
      const int64_t j = (i + 1) % 3;
      const int64_t k = (i + 2) % 3;
      return at::addcmul(at::mul(a.select(dim, j), b.select(dim, k)), a.select(dim, k),
                         b.select(dim, j), -1);
    };
    const std::array<Tensor, 3> components = {component(0), component(1), component(2)};
    for (int64_t i = 0; i < 3; ++i) out.select(dim, i).copy_(components[i]);
  }
};

// Channels, the third dimension from the right or second, as [groups, channels / groups]
// transposed.
Tensor shuffle_channels(const Tensor& self, int64_t groups) {
  TORCH_CHECK(self.dim() > 2, "channel_shuffle expects input with > 2 dims, but got input with ",
              "sizes ", self.sizes());
  const int64_t channels = self.size(1);
  TORCH_CHECK(groups > 0,
              "Number of groups to divide channels in must be positive. Value of groups:", groups);
  TORCH_CHECK(channels % groups == 0, "Number of channels must be divisible by groups. Got ",
              channels, " channels and ", groups, " groups.");
  at::DimVector split(self.sizes().begin(), self.sizes().end());
  split[1] = groups;
  split.insert(split.begin() + 2, channels / groups);
  return self.reshape(split).transpose(1, 2).reshape(self.sizes());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"rsub.Tensor",
       static_cast<Tensor (*)(const Tensor&, const Tensor&, const Scalar&)>(&at::native::rsub)>(m);
  impl<"addbmm", &at::native::addbmm>(m);
  impl<"addbmm.out", &at::native::addbmm_out>(m);
  impl<"addbmm_", &at::native::addbmm_>(m);
  impl<"angle", &phase>(m);
  impl<"angle.out", &phase_out>(m);
  impl<"channel_shuffle", &shuffle_channels>(m);
  structured<Cross, "linalg_cross", "linalg_cross.out">(m);
}

}  // namespace
}  // namespace npu::backend

// Cumulative ops.
#include <ATen/WrapDimUtils.h>
#include <ATen/native/ReduceOps.h>
#include <ATen/ops/_logcumsumexp_native.h>
#include <ATen/ops/cumprod_native.h>
#include <ATen/ops/cumsum_native.h>
#include <ATen/ops/empty_like.h>
#include <npu/kernels/reduce.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Tensor;
using kernels::Scan;

void run_scan(Scan scan, const Tensor& result, const Tensor& indices, const Tensor& self,
              int64_t dim) {
  const int64_t along = at::maybe_wrap_dim(dim, std::max<int64_t>(self.dim(), 1));
  if (self.numel() == 0) return;
  const auto vector = [&](const Tensor& tensor) {
    return tensor.defined() && tensor.dim() == 0 ? tensor.unsqueeze(0) : tensor;
  };
  NPU_CHECK(kernels::scan(scan, to_kernel(vector(result)),
                          indices.defined() ? to_kernel(vector(indices)) : kernels::Tensor(),
                          to_kernel(vector(self)), static_cast<int>(along), stream_of(self)));
}

template <Scan scan>
void scan_stub(const Tensor& result, const Tensor& self, int64_t dim) {
  run_scan(scan, result, {}, self, dim);
}

template <Scan scan>
void extreme_helper(const Tensor& self, Tensor& values, Tensor& indices, int64_t dim) {
  run_scan(scan, values, indices, self, dim);
}

Tensor& logcumsumexp_out(const Tensor& self, int64_t dim, Tensor& out) {
  at::native::resize_output(out, self.sizes());
  run_scan(Scan::logsumexp, out, {}, self, dim);
  return out;
}

Tensor logcumsumexp(const Tensor& self, int64_t dim) {
  Tensor out = at::empty_like(self, at::MemoryFormat::Contiguous);
  return logcumsumexp_out(self, dim, out);
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

REGISTER_PRIVATEUSE1_DISPATCH(cumsum_stub, &npu::backend::scan_stub<npu::kernels::Scan::sum>)
REGISTER_PRIVATEUSE1_DISPATCH(cumprod_stub, &npu::backend::scan_stub<npu::kernels::Scan::prod>)

}  // namespace at::native

namespace npu::backend {

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<at::native::structured_cumsum_out, "cumsum", "cumsum.out">(m);
  structured<at::native::structured_cumprod_out, "cumprod", "cumprod.out">(m);
  impl<"_logcumsumexp", &logcumsumexp>(m);
  impl<"_logcumsumexp.out", &logcumsumexp_out>(m);
  impl<"_cummax_helper", &extreme_helper<Scan::max>>(m);
  impl<"_cummin_helper", &extreme_helper<Scan::min>>(m);
}

}  // namespace npu::backend

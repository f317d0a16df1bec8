// Maximum and minimum, with or without their indices.
#include <ATen/WrapDimUtils.h>
#include <ATen/native/ReduceAllOps.h>
#include <ATen/native/ReduceOps.h>
#include <ATen/native/TensorCompare.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/aminmax_native.h>
#include <ATen/ops/argmax_native.h>
#include <ATen/ops/argmin_native.h>
#include <ATen/ops/max_native.h>
#include <ATen/ops/min_native.h>
#include <npu/kernels/reduce.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Tensor;

// The view of a result that lacks dimension `dim` (keepdim or not) with that dimension of size 1.
Tensor with_dim(const Tensor& result, const Tensor& self, int64_t dim) {
  return result.dim() == self.dim() ? result : result.unsqueeze(dim);
}

template <bool largest>
void extreme_dim(const Tensor& values, const Tensor& indices, const Tensor& self, int64_t dim,
                 bool /*keepdim*/) {
  const Tensor in = self.dim() == 0 ? self.unsqueeze(0) : self;
  const int64_t wrapped = at::maybe_wrap_dim(dim, in.dim());
  NPU_CHECK(kernels::arg_reduce(largest, to_kernel(with_dim(values, in, wrapped)),
                                to_kernel(with_dim(indices, in, wrapped)), to_kernel(in),
                                static_cast<int>(wrapped), stream_of(self)));
}

template <class Meta, bool largest>
struct ArgExtreme {
  static Tensor functional(const Tensor& self, std::optional<int64_t> dim, bool keepdim) {
    Structured<Meta> op;
    op.meta(self, dim, keepdim);
    run(op.output(), self, dim);
    return op.finish();
  }
  static Tensor& out(const Tensor& self, std::optional<int64_t> dim, bool keepdim, Tensor& out) {
    Structured<Meta> op(out);
    op.meta(self, dim, keepdim);
    run(op.output(), self, dim);
    op.finish();
    return out;
  }

 private:
  static void run(const Tensor& result, const Tensor& self, std::optional<int64_t> dim) {
    if (result.numel() == 0) return;
    const Tensor in = dim.has_value() && self.dim() > 0 ? self : self.reshape(-1);
    const int64_t along = dim.has_value() ? at::maybe_wrap_dim(*dim, in.dim()) : 0;
    const Tensor indices =
        dim.has_value() && self.dim() > 0 ? with_dim(result, in, along) : result.reshape({1});
    NPU_CHECK(kernels::arg_reduce(largest, {}, to_kernel(indices), to_kernel(in),
                                  static_cast<int>(along), stream_of(self)));
  }
};

void max_all(Tensor& result, const Tensor& self) { at::amax_out(result, self.reshape(-1), 0); }
void min_all(Tensor& result, const Tensor& self) { at::amin_out(result, self.reshape(-1), 0); }

void aminmax(const Tensor& self, int64_t dim, bool keepdim, Tensor& min, Tensor& max) {
  at::amin_out(min, self, dim, keepdim);
  at::amax_out(max, self, dim, keepdim);
}

void aminmax_all(const Tensor& self, Tensor& min, Tensor& max) {
  min_all(min, self);
  max_all(max, self);
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

REGISTER_PRIVATEUSE1_DISPATCH(max_stub, &npu::backend::extreme_dim<true>)
REGISTER_PRIVATEUSE1_DISPATCH(min_stub, &npu::backend::extreme_dim<false>)
REGISTER_PRIVATEUSE1_DISPATCH(max_all_stub, &npu::backend::max_all)
REGISTER_PRIVATEUSE1_DISPATCH(min_all_stub, &npu::backend::min_all)
REGISTER_PRIVATEUSE1_DISPATCH(aminmax_stub, &npu::backend::aminmax)
REGISTER_PRIVATEUSE1_DISPATCH(aminmax_allreduce_stub, &npu::backend::aminmax_all)

}  // namespace at::native

namespace npu::backend {

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<at::native::structured_max_out, "max.dim", "max.dim_max">(m);
  structured<at::native::structured_min_out, "min.dim", "min.dim_min">(m);
  structured<at::native::structured_aminmax_out, "aminmax", "aminmax.out">(m);
  impl<"max", static_cast<Tensor (*)(const Tensor&)>(&at::native::max)>(m);
  impl<"min", static_cast<Tensor (*)(const Tensor&)>(&at::native::min)>(m);
  impl<"max.unary_out", &at::native::max_unary_out>(m);
  impl<"min.unary_out", &at::native::min_unary_out>(m);
  using ArgMax = ArgExtreme<at::meta::structured_argmax, true>;
  using ArgMin = ArgExtreme<at::meta::structured_argmin, false>;
  impl<"argmax", &ArgMax::functional>(m);
  impl<"argmax.out", &ArgMax::out>(m);
  impl<"argmin", &ArgMin::functional>(m);
  impl<"argmin.out", &ArgMin::out>(m);
}

}  // namespace npu::backend

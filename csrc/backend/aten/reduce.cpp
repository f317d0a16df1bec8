// Reductions with one result: PyTorch's shape logic over dispatch stubs, run by the SDK's family.
#include <ATen/native/ReduceOps.h>
#include <ATen/native/ReduceOpsUtils.h>
#include <ATen/ops/all_native.h>
#include <ATen/ops/amax_native.h>
#include <ATen/ops/amin_native.h>
#include <ATen/ops/any_native.h>
#include <ATen/ops/count_nonzero_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm_native.h>
#include <ATen/ops/mean_native.h>
#include <ATen/ops/nansum_native.h>
#include <ATen/ops/norm_native.h>
#include <ATen/ops/prod_native.h>
#include <ATen/ops/std_mean_native.h>
#include <ATen/ops/std_native.h>
#include <ATen/ops/sum_native.h>
#include <ATen/ops/var_mean_native.h>
#include <ATen/ops/var_native.h>
#include <npu/kernels/reduce.h>

#include <limits>

#include "csrc/backend/aten/iterator.h"
#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;
using at::TensorIterator;
using kernels::Reduction;

// Fills one output of a reducing iterator, whose outputs have stride 0 in the dimensions that go.
void run_reduction(at::TensorIteratorBase& iterator, Reduction reduction,
                   kernels::Scalar scalar = {}, int output = 0) {
  kernels::Tensor out = iterator_operand(iterator, output);
  const kernels::Tensor in = iterator_operand(iterator, iterator.noutputs());
  uint32_t reduced = 0;
  for (int d = 0; d < in.rank; ++d) {
    if (out.strides[d] == 0 && in.sizes[d] != 1) {
      out.sizes[d] = 1;
      reduced |= 1u << d;
    }
  }
  NPU_CHECK(kernels::reduce(reduction, out, in, reduced, scalar,
                            current_stream(iterator.device(0).index())));
}

template <Reduction reduction>
void reduce_stub(TensorIterator& iterator) {
  run_reduction(iterator, reduction);
}

// var_mean and std_mean ask for the mean as a second output.
void std_var(TensorIterator& iterator, double correction, bool take_sqrt) {
  run_reduction(iterator, take_sqrt ? Reduction::std : Reduction::var, correction);
  if (iterator.noutputs() > 1) run_reduction(iterator, Reduction::mean, {}, 1);
}

void vector_norm(TensorIterator& iterator, const Scalar& order) {
  const double p = order.toDouble();
  const auto reduction = p == 0                                          ? Reduction::norm0
                         : p == 1                                        ? Reduction::norm1
                         : p == 2                                        ? Reduction::norm2
                         : p == std::numeric_limits<double>::infinity()  ? Reduction::norm_inf
                         : p == -std::numeric_limits<double>::infinity() ? Reduction::norm_neg_inf
                                                                         : Reduction::norm_p;
  run_reduction(iterator, reduction, p);
}

Tensor count_in_dimensions(const Tensor& self, at::IntArrayRef dim) {
  Tensor result = at::empty({0}, self.options().dtype(at::kLong));
  TensorIterator iterator = at::native::make_reduction(
      "count_nonzero", result, self, dim, /*keepdim=*/false, self.scalar_type(), at::kLong);
  if (self.numel() == 0) return result.zero_();
  run_reduction(iterator, Reduction::count_nonzero);
  return result;
}

Tensor count_in_dimension(const Tensor& self, std::optional<int64_t> dim) {
  return count_in_dimensions(self, dim ? at::IntArrayRef(*dim) : at::IntArrayRef());
}

// Integers become the default floating type.
at::ScalarType floating_type_of(const Tensor& self) {
  return at::isIntegralType(self.scalar_type(), /*includeBool=*/true)
             ? at::typeMetaToScalarType(at::get_default_dtype())
             : self.scalar_type();
}

Tensor& log_sum_exp_out(const Tensor& self, at::IntArrayRef dim, bool keepdim, Tensor& out) {
  TORCH_CHECK(
      at::isFloatingType(out.scalar_type()),
      "logsumexp(): Expected floating point type for result tensor, but got: ", out.scalar_type());
  const Tensor x = self.to(floating_type_of(self));
  TensorIterator iterator = at::native::make_reduction("logsumexp", out, x, dim, keepdim,
                                                       x.scalar_type(), out.scalar_type());
  if (x.numel() == 0) return out.fill_(-std::numeric_limits<double>::infinity());
  run_reduction(iterator, Reduction::logsumexp);
  return out;
}

Tensor log_sum_exp(const Tensor& self, at::IntArrayRef dim, bool keepdim) {
  Tensor result = at::empty({0}, self.options().dtype(floating_type_of(self)));
  return log_sum_exp_out(self, dim, keepdim, result);
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

using npu::backend::reduce_stub;
using npu::kernels::Reduction;

REGISTER_PRIVATEUSE1_DISPATCH(sum_stub, &reduce_stub<Reduction::sum>)
REGISTER_PRIVATEUSE1_DISPATCH(nansum_stub, &reduce_stub<Reduction::nansum>)
REGISTER_PRIVATEUSE1_DISPATCH(prod_stub, &reduce_stub<Reduction::prod>)
REGISTER_PRIVATEUSE1_DISPATCH(mean_stub, &reduce_stub<Reduction::mean>)
REGISTER_PRIVATEUSE1_DISPATCH(and_stub, &reduce_stub<Reduction::all>)
REGISTER_PRIVATEUSE1_DISPATCH(or_stub, &reduce_stub<Reduction::any>)
REGISTER_PRIVATEUSE1_DISPATCH(min_values_stub, &reduce_stub<Reduction::min>)
REGISTER_PRIVATEUSE1_DISPATCH(max_values_stub, &reduce_stub<Reduction::max>)
REGISTER_PRIVATEUSE1_DISPATCH(std_var_stub, &npu::backend::std_var)
REGISTER_PRIVATEUSE1_DISPATCH(norm_stub, &npu::backend::vector_norm)

}  // namespace at::native

namespace npu::backend {

namespace native = at::native;
using Correction = const std::optional<Scalar>&;

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<native::structured_sum_out, "sum.dim_IntList", "sum.IntList_out">(m);
  structured<native::structured_mean_out, "mean.dim", "mean.out">(m);
  structured<native::structured_prod_out, "prod.dim_int", "prod.int_out">(m);
  structured<native::structured_amax_out, "amax", "amax.out">(m);
  structured<native::structured_amin_out, "amin", "amin.out">(m);
  structured<native::structured_all_out, "all.dim", "all.out">(m);
  structured<native::structured_any_out, "any.dim", "any.out">(m);
  structured<native::structured_all_dims_out, "all.dims", "all.dims_out">(m);
  structured<native::structured_any_dims_out, "any.dims", "any.dims_out">(m);
  structured<native::structured_all_all_out, "all", "all.all_out">(m);
  structured<native::structured_any_all_out, "any", "any.all_out">(m);
  structured<native::structured_linalg_vector_norm_out, "linalg_vector_norm",
             "linalg_vector_norm.out">(m);
  structured<native::structured_norm_out, "norm.ScalarOpt_dim", "norm.out">(m);
  structured<native::structured_norm_dtype_out, "norm.ScalarOpt_dim_dtype", "norm.dtype_out">(m);

  impl<"prod",
       static_cast<Tensor (*)(const Tensor&, std::optional<at::ScalarType>)>(&native::prod)>(m);
  impl<"nansum", &native::nansum>(m);
  impl<"nansum.out", &native::nansum_out>(m);
  impl<"std.correction", static_cast<Tensor (*)(const Tensor&, at::OptionalIntArrayRef, Correction,
                                                bool)>(&native::std)>(m);
  impl<"var.correction", static_cast<Tensor (*)(const Tensor&, at::OptionalIntArrayRef, Correction,
                                                bool)>(&native::var)>(m);
  impl<"std.correction_out",
       static_cast<Tensor& (*)(const Tensor&, at::OptionalIntArrayRef, Correction, bool, Tensor&)>(
           &native::std_out)>(m);
  impl<"var.correction_out",
       static_cast<Tensor& (*)(const Tensor&, at::OptionalIntArrayRef, Correction, bool, Tensor&)>(
           &native::var_out)>(m);
  impl<"std_mean.correction",
       static_cast<std::tuple<Tensor, Tensor> (*)(const Tensor&, at::OptionalIntArrayRef,
                                                  Correction, bool)>(&native::std_mean)>(m);
  impl<"var_mean.correction",
       static_cast<std::tuple<Tensor, Tensor> (*)(const Tensor&, at::OptionalIntArrayRef,
                                                  Correction, bool)>(&native::var_mean)>(m);
  impl<"count_nonzero", &count_in_dimension>(m);
  impl<"count_nonzero.dim_IntList", &count_in_dimensions>(m);
  impl<"logsumexp", &log_sum_exp>(m);
  impl<"logsumexp.out", &log_sum_exp_out>(m);
}

}  // namespace npu::backend

// Masks: filling, selecting and scattering where they are true, and where tensors are not zero.
#include <ATen/ExpandUtils.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/take.h>
#include <ATen/ops/where.h>
#include <npu/kernels/index.h>

#include "csrc/backend/aten/iterator.h"
#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/scalar.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;

void check_mask(const Tensor& self, const Tensor& mask, const char* op) {
  TORCH_CHECK(mask.scalar_type() == at::kBool, op, " only supports boolean masks, but got dtype ",
              mask.scalar_type());
  TORCH_CHECK(self.device() == mask.device(), op, ": expected self and mask to be on the same ",
              "device, but got mask on ", mask.device(), " and self on ", self.device());
}

at::TensorIteratorConfig& choosing(at::TensorIteratorConfig&& config, const Tensor& out,
                                   const Tensor& self, const Tensor& mask) {
  return config.set_check_mem_overlap(false)
      .check_all_same_dtype(false)
      .resize_outputs(false)
      .add_output(out)
      .add_const_input(self)
      .add_const_input(mask);
}

// out = mask ? value : self, all of the same sizes; out may be self.
void choose(const Tensor& out, const Tensor& self, const Tensor& mask, const Scalar& value) {
  auto iterator = choosing({}, out, self, mask).build();
  if (iterator.numel() == 0) return;
  const kernels::Tensor result = iterator_operand(iterator, 0);
  kernels::Tensor number = result;
  number.data = nullptr;
  number.immediate = in_dtype(to_kernel(value), self.scalar_type());
  const kernels::Tensor inputs[] = {iterator_operand(iterator, 1), iterator_operand(iterator, 2),
                                    number};
  NPU_CHECK(kernels::elementwise(elementwise_op<"masked_fill">(), {&result, 1}, inputs, {},
                                 stream_of(self)));
}

// Its value may have other sizes.
void choose(const Tensor& out, const Tensor& self, const Tensor& mask, const Tensor& value) {
  auto iterator = choosing({}, out, self, mask).add_const_input(value).build();
  run_elementwise(iterator, plan<"masked_fill">());
}

void check_value(const Tensor& self, const Scalar& value) { check_fits(value, self.scalar_type()); }

void check_value(const Tensor&, const Tensor& value) {
  TORCH_CHECK(value.dim() == 0,
              "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with ",
              value.dim(), " dimension(s).");
}

template <class Value>
Tensor& masked_fill_(Tensor& self, const Tensor& mask, const Value& value) {
  check_value(self, value);
  if constexpr (std::is_same_v<Value, Tensor>) {
    if (!is_npu(value)) return masked_fill_(self, mask, value.item());
  }
  check_mask(self, mask, "masked_fill_");
  at::assert_no_internal_overlap(self);
  choose(self, self, *at::expand_inplace(self, mask, "masked_fill_"), value);
  return self;
}

template <class Value>
Tensor masked_fill(const Tensor& self, const Tensor& mask, const Value& value) {
  check_value(self, value);
  if constexpr (std::is_same_v<Value, Tensor>) {
    if (!is_npu(value)) return masked_fill(self, mask, value.item());
  }
  check_mask(self, mask, "masked_fill");
  const auto [expanded_mask, expanded] = at::expand_outplace(mask, self);
  Tensor out = at::empty(expanded->sizes(), self.options());
  choose(out, *expanded, *expanded_mask, value);
  return out;
}

int64_t count_true(const Tensor& self) { return at::count_nonzero(self).item<int64_t>(); }

// The host waits for the count, since it is the size of the result.
Tensor& nonzero_out(const Tensor& self, Tensor& out) {
  TORCH_CHECK(out.scalar_type() == at::kLong,
              "nonzero: Expected out tensor to have scalar type Long but got scalar type",
              out.scalar_type());
  TORCH_CHECK(self.device() == out.device(), "expected self and out to be on the same device, but ",
              "got out on ", out.device(), " and self on ", self.device());
  const int64_t count = self.numel() == 0 ? 0 : count_true(self);
  at::native::resize_output(out, {count, self.dim()});
  if (out.numel() > 0) {
    NPU_CHECK(kernels::nonzero(to_kernel(out), to_kernel(self), stream_of(self)));
  }
  return out;
}

Tensor nonzero(const Tensor& self) {
  Tensor out = at::empty({0}, self.options().dtype(at::kLong));
  return nonzero_out(self, out);
}

Tensor& nonzero_static_out(const Tensor& self, int64_t size, int64_t fill_value, Tensor& out) {
  TORCH_CHECK(size >= 0, "nonzero_static: 'size' must be an non-negative integer");
  TORCH_CHECK(out.scalar_type() == at::kLong, "nonzero_static: Expected out tensor to have scalar ",
              "type Long but got scalar type ", out.scalar_type());
  at::native::resize_output(out, {size, self.dim()});
  const Tensor found = self.nonzero();
  const int64_t rows = std::min(size, found.size(0));
  out.narrow(0, 0, rows).copy_(found.narrow(0, 0, rows));
  out.narrow(0, rows, size - rows).fill_(fill_value);
  return out;
}

Tensor nonzero_static(const Tensor& self, int64_t size, int64_t fill_value) {
  Tensor out = at::empty({size, self.dim()}, self.options().dtype(at::kLong));
  return nonzero_static_out(self, size, fill_value, out);
}

Tensor& masked_select_out(const Tensor& self, const Tensor& mask, Tensor& out) {
  check_mask(self, mask, "masked_select: ");
  TORCH_CHECK(self.scalar_type() == out.scalar_type(),
              "masked_select(): self and result must have the same scalar type");
  at::assert_no_internal_overlap(out);
  at::assert_no_overlap(out, self);
  at::assert_no_overlap(out, mask);
  const auto [from, where] = at::expand_outplace(self, mask, "masked_select");
  const Tensor places = at::nonzero(where->reshape(-1)).select(1, 0);
  return at::index_select_out(out, from->reshape(-1), 0, places);
}

Tensor masked_select(const Tensor& self, const Tensor& mask) {
  Tensor out = at::empty({0}, self.options());
  return masked_select_out(self, mask, out);
}

Tensor& masked_scatter(Tensor& self, const Tensor& mask, const Tensor& source) {
  check_mask(self, mask, "masked_scatter_");
  at::assert_no_internal_overlap(self);
  TORCH_CHECK(self.scalar_type() == source.scalar_type(),
              "masked_scatter: expected self and source to have same dtypes but got ",
              self.scalar_type(), " and ", source.scalar_type());
  const auto expanded = at::expand_inplace(self, mask, "masked_scatter_");
  if (self.numel() == 0) return self;
  if (source.numel() == 0) {
    TORCH_CHECK(count_true(*expanded) == 0,
                "masked_scatter: expected self and source to have same number of elements");
    return self;
  }
  // The elements of the source stand in the order of the true elements of the mask.
  const Tensor order = at::cumsum(expanded->reshape(-1), 0).sub_(1).clamp_min_(0);
  const Tensor values = at::take(source, order).view(self.sizes());
  self.copy_(at::where(*expanded, values, self));
  return self;
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"masked_fill.Scalar", &masked_fill<Scalar>>(m);
  impl<"masked_fill.Tensor", &masked_fill<Tensor>>(m);
  impl<"masked_fill_.Scalar", &masked_fill_<Scalar>>(m);
  impl<"masked_fill_.Tensor", &masked_fill_<Tensor>>(m);
  impl<"masked_select", &masked_select>(m);
  impl<"masked_select.out", &masked_select_out>(m);
  impl<"masked_scatter_", &masked_scatter>(m);
  impl<"nonzero", &nonzero>(m);
  impl<"nonzero.out", &nonzero_out>(m);
  impl<"nonzero_static", &nonzero_static>(m);
  impl<"nonzero_static.out", &nonzero_static_out>(m);
}

}  // namespace
}  // namespace npu::backend

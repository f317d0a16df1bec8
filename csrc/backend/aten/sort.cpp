// Sorting, and order statistics by way of it.
#include <ATen/MemoryOverlap.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cummax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/sort_meta.h>
#include <ATen/ops/topk_meta.h>
#include <ATen/ops/where.h>
#include <npu/kernels/index.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Tensor;
using Pair = std::tuple<Tensor, Tensor>;
using PairOut = std::tuple<Tensor&, Tensor&>;

template <class Op>
void run_sort(Op& op, const Tensor& self, int64_t dim, bool descending) {
  if (self.numel() == 0) return;
  NPU_CHECK(kernels::sort(to_kernel(as_vector(op.output(0))), to_kernel(as_vector(op.output(1))),
                          to_kernel(as_vector(self)),
                          static_cast<int>(at::maybe_wrap_dim(dim, self.dim())), descending,
                          stream_of(self)));
}

Pair sort_stable(const Tensor& self, std::optional<bool> stable, int64_t dim, bool descending) {
  Structured<at::meta::structured_sort_stable, 2> op;
  op.meta(self, stable, dim, descending);
  run_sort(op, self, dim, descending);
  const auto& outputs = op.finish_all();
  return {outputs[0], outputs[1]};
}

PairOut sort_stable_out(const Tensor& self, std::optional<bool> stable, int64_t dim,
                        bool descending, Tensor& values, Tensor& indices) {
  Structured<at::meta::structured_sort_stable, 2> op(values, indices);
  op.meta(self, stable, dim, descending);
  run_sort(op, self, dim, descending);
  op.finish();
  return {values, indices};
}

// Always sorted, whether asked for or not.
template <class Op>
void run_topk(Op& op, const Tensor& self, int64_t dim, bool largest) {
  if (op.output(0).numel() == 0) return;
  NPU_CHECK(kernels::topk(to_kernel(as_vector(op.output(0))), to_kernel(as_vector(op.output(1))),
                          to_kernel(as_vector(self)),
                          static_cast<int>(at::maybe_wrap_dim(dim, self.dim())), largest,
                          stream_of(self)));
}

Pair topk(const Tensor& self, int64_t k, int64_t dim, bool largest, bool sorted) {
  Structured<at::meta::structured_topk, 2> op;
  op.meta(self, k, dim, largest, sorted);
  run_topk(op, self, dim, largest);
  const auto& outputs = op.finish_all();
  return {outputs[0], outputs[1]};
}

PairOut topk_out(const Tensor& self, int64_t k, int64_t dim, bool largest, bool sorted,
                 Tensor& values, Tensor& indices) {
  Structured<at::meta::structured_topk, 2> op(values, indices);
  op.meta(self, k, dim, largest, sorted);
  run_topk(op, self, dim, largest);
  op.finish();
  return {values, indices};
}

// ---- Order statistics ---------------------------------------------------------------------------

// A sorted tensor of at least one dimension.
struct Sorted {
  Tensor values;
  Tensor indices;
  int64_t dim;
  int64_t size;
};

Sorted sorted_lines(const Tensor& self, int64_t dim, const char* op) {
  dim = at::maybe_wrap_dim(dim, self.dim());
  const Tensor lines = as_vector(self);
  TORCH_CHECK_INDEX(lines.size(dim) > 0, op, ": Expected reduction dim ", dim,
                    " to have non-zero size.");
  const auto [values, indices] = at::sort(lines, dim);
  return {values, indices, dim, lines.size(dim)};
}

// The element of each line at `place` (sizes of the line: 1), without the dimension unless kept.
PairOut pick(const Sorted& sorted, const Tensor& place, const Tensor& self, bool keepdim,
             Tensor& values, Tensor& indices) {
  TORCH_CHECK(values.scalar_type() == self.scalar_type() && indices.scalar_type() == at::kLong,
              "expected results of dtypes ", self.scalar_type(), " and Long, got ",
              values.scalar_type(), " and ", indices.scalar_type());
  for (const Tensor& out : {values, indices}) {
    at::assert_no_internal_overlap(out);
    at::assert_no_overlap(out, self);
  }
  Tensor value = at::gather(sorted.values, sorted.dim, place);
  Tensor index = at::gather(sorted.indices, sorted.dim, place);
  if (!keepdim || self.dim() == 0) {
    value = value.squeeze(sorted.dim);
    index = index.squeeze(sorted.dim);
  }
  at::native::resize_output(values, value.sizes());
  at::native::resize_output(indices, index.sizes());
  values.copy_(value);
  indices.copy_(index);
  return {values, indices};
}

// The same place in each line.
Tensor fixed_place(const Sorted& sorted, int64_t place) {
  auto sizes = sorted.values.sizes().vec();
  sizes[static_cast<size_t>(sorted.dim)] = 1;
  return at::full(sizes, place, sorted.indices.options());
}

PairOut kthvalue_out(const Tensor& self, int64_t k, int64_t dim, bool keepdim, Tensor& values,
                     Tensor& indices) {
  const int64_t wrapped = at::maybe_wrap_dim(dim, self.dim());
  TORCH_CHECK(k >= 1 && k <= (self.dim() > 0 ? self.size(wrapped) : 1),
              "kthvalue(): selected number k out of range for dimension ", wrapped);
  const Sorted sorted = sorted_lines(self, wrapped, "kthvalue()");
  return pick(sorted, fixed_place(sorted, k - 1), self, keepdim, values, indices);
}

// NaN stand last: how many elements stand before them.
Tensor count_numbers(const Sorted& sorted) {
  return at::isnan(sorted.values).logical_not().sum(sorted.dim, true);
}

// The lower of two middle elements; without `skip_nan` the first NaN where there is one.
Tensor middle(const Sorted& sorted, bool skip_nan) {
  const int64_t half = (sorted.size - 1) / 2;
  if (!at::isFloatingType(sorted.values.scalar_type())) return fixed_place(sorted, half);
  const Tensor numbers = count_numbers(sorted);
  if (skip_nan) return numbers.sub(1).clamp_min(0).div(2, "floor");
  return at::where(numbers.lt(sorted.size), numbers, half);
}

template <bool skip_nan>
PairOut median_out(const Tensor& self, int64_t dim, bool keepdim, Tensor& values, Tensor& indices) {
  const Sorted sorted = sorted_lines(self, dim, skip_nan ? "nanmedian()" : "median()");
  return pick(sorted, middle(sorted, skip_nan), self, keepdim, values, indices);
}

template <bool skip_nan>
Tensor median_all(const Tensor& self) {
  if (self.numel() == 0) {
    const bool floating = at::isFloatingType(self.scalar_type());
    if (!floating) return at::full({}, std::numeric_limits<int64_t>::min(), self.options());
    return at::full({}, std::numeric_limits<double>::quiet_NaN(), self.options());
  }
  const Sorted sorted = sorted_lines(self.reshape(-1), 0, "median()");
  return at::gather(sorted.values, 0, middle(sorted, skip_nan)).squeeze(0);
}

// The smallest of the most frequent values: where a run of equal ones first becomes the longest.
PairOut mode_out(const Tensor& self, int64_t dim, bool keepdim, Tensor& values, Tensor& indices) {
  const Sorted sorted = sorted_lines(self, dim, "mode()");
  const int64_t rest = sorted.size - 1;
  const Tensor differs =
      sorted.values.narrow(sorted.dim, 1, rest).ne(sorted.values.narrow(sorted.dim, 0, rest));
  auto shape = std::vector<int64_t>(static_cast<size_t>(sorted.values.dim()), 1);
  shape[static_cast<size_t>(sorted.dim)] = sorted.size;
  const Tensor place = at::arange(sorted.size, sorted.indices.options()).view(shape);
  const Tensor starts =
      at::cat({fixed_place(sorted, 0), at::where(differs, place.narrow(sorted.dim, 1, rest), 0)},
              sorted.dim);
  const Tensor lengths = place.sub(std::get<0>(at::cummax(starts, sorted.dim)));
  return pick(sorted, at::argmax(lengths, sorted.dim, true), self, keepdim, values, indices);
}

template <PairOut (*out)(const Tensor&, int64_t, bool, Tensor&, Tensor&)>
Pair functional(const Tensor& self, int64_t dim, bool keepdim) {
  Tensor values = at::empty({0}, self.options());
  Tensor indices = at::empty({0}, self.options().dtype(at::kLong));
  out(self, dim, keepdim, values, indices);
  return {values, indices};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"sort.stable", &sort_stable>(m);
  impl<"sort.values_stable", &sort_stable_out>(m);
  impl<"topk", &topk>(m);
  impl<"topk.values", &topk_out>(m);
  impl<"kthvalue.values", &kthvalue_out>(m);
  impl<"median", &median_all<false>>(m);
  impl<"nanmedian", &median_all<true>>(m);
  impl<"median.dim_values", &median_out<false>>(m);
  impl<"nanmedian.dim_values", &median_out<true>>(m);
  impl<"mode", &functional<&mode_out>>(m);
  impl<"mode.values", &mode_out>(m);
}

}  // namespace
}  // namespace npu::backend

// Searching, sets and histograms.
#include <ATen/native/BucketizationUtils.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/isin_meta.h>
#include <ATen/ops/isin_native.h>
#include <ATen/ops/masked_select.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <npu/kernels/index.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;
using OptionalTensor = const std::optional<Tensor>&;
using Triple = std::tuple<Tensor, Tensor, Tensor>;

// ---- Sorted sequences ---------------------------------------------------------------------------

Tensor& searchsorted_out(const Tensor& sequence, const Tensor& self, bool out_int32, bool right,
                         std::optional<std::string_view> side, OptionalTensor sorter, Tensor& out) {
  const Tensor order = sorter.value_or(Tensor());
  at::native::searchsorted_pre_check(sequence, self, out, out_int32, right, side, order);
  at::native::resize_output(out, self.sizes());
  if (self.numel() == 0) return out;
  const at::ScalarType type = at::result_type(sequence, self);
  const Tensor line = (order.defined() ? sequence.gather(-1, order) : sequence).to(type);
  const Tensor values = self.to(type);
  const bool direct = out.scalar_type() == at::kLong;
  const Tensor found = direct ? out : at::empty(self.sizes(), out.options().dtype(at::kLong));
  NPU_CHECK(kernels::searchsorted(to_kernel(found), to_kernel(line), to_kernel(values),
                                  right || (side && *side == "right"), stream_of(self)));
  if (!direct) out.copy_(found);
  return out;
}

Tensor empty_positions(const Tensor& like, bool out_int32) {
  return at::empty({0}, like.options().dtype(out_int32 ? at::kInt : at::kLong));
}

Tensor searchsorted(const Tensor& sequence, const Tensor& self, bool out_int32, bool right,
                    std::optional<std::string_view> side, OptionalTensor sorter) {
  Tensor out = empty_positions(sequence, out_int32);
  return searchsorted_out(sequence, self, out_int32, right, side, sorter, out);
}

Tensor& searchsorted_scalar_out(const Tensor& sequence, const Scalar& self, bool out_int32,
                                bool right, std::optional<std::string_view> side,
                                OptionalTensor sorter, Tensor& out) {
  const Tensor value = at::native::searchsorted_scalar_tensor(self, sequence.device());
  return searchsorted_out(sequence, value, out_int32, right, side, sorter, out);
}

Tensor searchsorted_scalar(const Tensor& sequence, const Scalar& self, bool out_int32, bool right,
                           std::optional<std::string_view> side, OptionalTensor sorter) {
  Tensor out = empty_positions(sequence, out_int32);
  return searchsorted_scalar_out(sequence, self, out_int32, right, side, sorter, out);
}

Tensor& bucketize_out(const Tensor& self, const Tensor& boundaries, bool out_int32, bool right,
                      Tensor& out) {
  TORCH_CHECK(boundaries.dim() == 1, "boundaries tensor must be 1 dimension, but got dim(",
              boundaries.dim(), ")");
  return searchsorted_out(boundaries, self, out_int32, right, std::nullopt, std::nullopt, out);
}

Tensor bucketize_tensor(const Tensor& self, const Tensor& boundaries, bool out_int32, bool right) {
  Tensor out = empty_positions(boundaries, out_int32);
  return bucketize_out(self, boundaries, out_int32, right, out);
}

Tensor bucketize_scalar(const Scalar& self, const Tensor& boundaries, bool out_int32, bool right) {
  return bucketize_tensor(at::native::searchsorted_scalar_tensor(self, boundaries.device()),
                          boundaries, out_int32, right);
}

// ---- Sets ---------------------------------------------------------------------------------------

// The element found by a search is the only one that may be equal.
void run_isin(const Tensor& out, const Tensor& elements, const Tensor& test_elements, bool invert) {
  if (out.numel() == 0) return;
  if (test_elements.numel() == 0) {
    out.fill_(invert);
    return;
  }
  const at::ScalarType type = at::result_type(elements, test_elements);
  const Tensor values = elements.to(out.device(), type);
  const Tensor set = std::get<0>(at::sort(test_elements.reshape(-1).to(out.device(), type)));
  const Tensor place = at::searchsorted(set, values.reshape(-1)).clamp_max_(set.numel() - 1);
  const Tensor found = set.index_select(0, place).view(values.sizes());
  out.copy_(invert ? found.ne(values) : found.eq(values));
}

Tensor isin(const Tensor& elements, const Tensor& test_elements, bool assume_unique, bool invert) {
  Structured<at::meta::structured_isin_Tensor_Tensor> op;
  op.meta(elements, test_elements, assume_unique, invert);
  run_isin(op.output(), elements, test_elements, invert);
  return op.finish();
}

Tensor& isin_out(const Tensor& elements, const Tensor& test_elements, bool assume_unique,
                 bool invert, Tensor& out) {
  Structured<at::meta::structured_isin_Tensor_Tensor> op(out);
  op.meta(elements, test_elements, assume_unique, invert);
  run_isin(op.output(), elements, test_elements, invert);
  op.finish();
  return out;
}

// Groups of equal neighbours. `starts`: bool, whether an item differs from the one before it.
struct Groups {
  Tensor first;    // number of the first item of each group
  Tensor inverse;  // each item's group
  Tensor counts;
};

Groups group(const Tensor& starts, bool inverse, bool counts) {
  Groups groups;
  groups.first = at::nonzero(starts).select(1, 0);
  if (inverse) groups.inverse = at::cumsum(starts, 0).sub_(1);
  if (counts) {
    const Tensor end = at::arange(starts.numel(), starts.numel() + 1, groups.first.options());
    const Tensor bounds = at::cat({groups.first, end});
    const int64_t n = groups.first.numel();
    groups.counts = bounds.narrow(0, 1, n).sub(bounds.narrow(0, 0, n));
  }
  return groups;
}

// `differs`: of the second to the last item.
Tensor starts_of(const Tensor& differs) {
  return at::cat({at::ones({1}, differs.options()), differs});
}

Tensor no_positions(const Tensor& like) { return at::empty({0}, like.options().dtype(at::kLong)); }

// Groups in their order where `order` is undefined; else items have been brought into it, and the
// inverse is that of the items before.
Triple unique_items(const Tensor& items, const Tensor& starts, int64_t dim, const Tensor& order,
                    bool inverse, bool counts) {
  Groups groups = group(starts, inverse, counts);
  const Tensor values = items.index_select(dim, groups.first);
  Tensor numbers = no_positions(items);
  if (inverse && order.defined()) {
    numbers = at::empty_like(groups.inverse).scatter_(0, order, groups.inverse);
  } else if (inverse) {
    numbers = groups.inverse;
  }
  return {values, numbers, counts ? groups.counts : no_positions(items)};
}

Triple unique_flat(const Tensor& self, bool sort, bool inverse, bool counts) {
  Tensor items = self.reshape(-1);
  const int64_t n = items.numel();
  if (n == 0) {
    const Tensor none = no_positions(self);
    return {at::empty({0}, self.options()),
            inverse ? at::empty(self.sizes(), none.options()) : none, none};
  }
  Tensor order;
  if (sort) std::tie(items, order) = at::sort(items);
  const Tensor starts = starts_of(items.narrow(0, 1, n - 1).ne(items.narrow(0, 0, n - 1)));
  auto [values, numbers, sizes] = unique_items(items, starts, 0, order, inverse, counts);
  return {values, inverse ? numbers.view(self.sizes()) : numbers, sizes};
}

// Sorted whether asked for or not.
Triple unique2(const Tensor& self, bool /*sorted*/, bool inverse, bool counts) {
  return unique_flat(self, true, inverse, counts);
}

std::tuple<Tensor, Tensor> unique(const Tensor& self, bool /*sorted*/, bool inverse) {
  const auto [values, numbers, counts] = unique_flat(self, true, inverse, false);
  return {values, numbers};
}

// Slices along `dim`, in lexicographic order where `sort` asks for it: sorted by one column after
// the other, the first one last.
Triple unique_slices(const Tensor& self, int64_t dim, bool sort, bool inverse, bool counts) {
  dim = at::maybe_wrap_dim(dim, self.dim());
  const int64_t n = self.size(dim);
  if (self.numel() == 0) {
    TORCH_CHECK(n == 0, "There are 0 sized dimensions, and they aren't selected, so unique cannot ",
                "be applied");
    const Tensor none = no_positions(self);
    return {self.clone(), none, none};
  }
  Tensor items = self;
  Tensor order;
  if (sort) {
    const Tensor columns = self.movedim(dim, 0).reshape({n, -1}).t();
    order = at::arange(n, no_positions(self).options());
    for (int64_t c = columns.size(0) - 1; c >= 0; --c) {
      const Tensor keys = columns.select(0, c).index_select(0, order);
      order =
          order.index_select(0, std::get<1>(at::sort(keys, std::optional<bool>(true), 0, false)));
    }
    items = self.index_select(dim, order);
  }
  const Tensor rows = items.movedim(dim, 0).reshape({n, -1});
  const Tensor starts = starts_of(rows.narrow(0, 1, n - 1).ne(rows.narrow(0, 0, n - 1)).any(1));
  return unique_items(items, starts, dim, order, inverse, counts);
}

Triple unique_dim(const Tensor& self, int64_t dim, bool /*sorted*/, bool inverse, bool counts) {
  return unique_slices(self, dim, true, inverse, counts);
}

Triple unique_dim_consecutive(const Tensor& self, int64_t dim, bool inverse, bool counts) {
  return unique_slices(self, dim, false, inverse, counts);
}

Triple unique_consecutive(const Tensor& self, bool inverse, bool counts,
                          std::optional<int64_t> dim) {
  if (dim.has_value() && (self.dim() != 1 || *dim != 0)) {
    return unique_slices(self, *dim, false, inverse, counts);
  }
  return unique_flat(self, false, inverse, counts);
}

// ---- Histograms ---------------------------------------------------------------------------------

Tensor bincount(const Tensor& self, OptionalTensor weights, int64_t minlength) {
  TORCH_CHECK(minlength >= 0, "minlength should be >= 0");
  TORCH_CHECK(self.dim() == 1, "bincount only supports 1-d non-negative integral inputs.");
  const bool weighted = weights.has_value() && weights->defined();
  if (weighted) {
    TORCH_CHECK(weights->dim() == 1 && weights->size(0) == self.size(0),
                "weights should be 1-d and have the same length as input");
  }
  if (self.numel() == 0) return at::zeros({minlength}, self.options().dtype(at::kLong));
  TORCH_CHECK(self.min().item<int64_t>() >= 0,
              "bincount only supports 1-d non-negative integral inputs.");
  const int64_t bins = std::max(self.max().item<int64_t>() + 1, minlength);
  const Tensor index = self.to(at::kLong);
  if (!weighted) {
    const auto options = self.options().dtype(at::kLong);
    return at::zeros({bins}, options).index_add_(0, index, at::ones({1}, options).expand_as(index));
  }
  const auto type = weights->scalar_type() == at::kFloat ? at::kFloat : at::kDouble;
  return at::zeros({bins}, weights->options().dtype(type)).index_add_(0, index, weights->to(type));
}

Tensor& histc_out(const Tensor& self, int64_t bins, const Scalar& min, const Scalar& max,
                  Tensor& out) {
  TORCH_CHECK(self.scalar_type() == out.scalar_type(),
              "torch.histc: input tensor and hist tensor should have the same dtype");
  TORCH_CHECK(bins > 0, "bins must be > 0, but got ", bins);
  double low = min.toDouble();
  double high = max.toDouble();
  if (low == high && self.numel() > 0) {
    low = self.min().item<double>();
    high = self.max().item<double>();
  }
  if (low == high) {
    low -= 1;
    high += 1;
  }
  TORCH_CHECK(std::isfinite(low) && std::isfinite(high), "range of [", low, ", ", high,
              "] is not finite");
  TORCH_CHECK(low < high, "max must be larger than min");
  // In the input's own type, as PyTorch's histograms compute.
  const Tensor values = self.reshape(-1);
  const Tensor inside = values.ge(low).logical_and_(values.le(high));
  // The upper bound belongs to the last bin.
  const Tensor place = values.sub(low).mul_(bins).div_(high - low);
  const Tensor bin = place.masked_fill_(inside.logical_not(), 0).clamp_max_(bins - 1).to(at::kLong);
  const Tensor counts = at::zeros({bins}, self.options().dtype(at::kLong));
  counts.index_add_(0, bin, inside.to(at::kLong));
  at::native::resize_output(out, {bins});
  out.copy_(counts);
  return out;
}

Tensor histc(const Tensor& self, int64_t bins, const Scalar& min, const Scalar& max) {
  Tensor out = at::empty({0}, self.options());
  return histc_out(self, bins, min, max, out);
}

// ---- Answers for the host -----------------------------------------------------------------------

bool equal(const Tensor& self, const Tensor& other) {
  TORCH_CHECK(self.device() == other.device(), "Cannot compare two tensors on different devices. ",
              "Got: ", self.device(), " and ", other.device());
  if (self.sizes() != other.sizes()) return false;
  if (self.numel() == 0) return true;
  return at::eq(self, other).all().item<bool>();
}

// The host waits: the device's own errors cannot carry a message.
void assert_true(const Tensor& self, std::string_view message) {
  TORCH_CHECK(self.numel() == 1, "Boolean value of Tensor with ", self.numel(),
              " values is ambiguous");
  TORCH_CHECK(self.item().toBool(), message);
}

void assert_async(const Tensor& self) {
  assert_true(self, "Expected Tensor with single nonzero value, but got zero");
}

Tensor trace(const Tensor& self) {
  TORCH_CHECK(self.dim() == 2, "trace: expected a matrix, but got tensor with dim ", self.dim());
  return self.diagonal().sum();
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"searchsorted.Tensor", &searchsorted>(m);
  impl<"searchsorted.Tensor_out", &searchsorted_out>(m);
  impl<"searchsorted.Scalar", &searchsorted_scalar>(m);
  impl<"searchsorted.Scalar_out", &searchsorted_scalar_out>(m);
  impl<"bucketize.Tensor", &bucketize_tensor>(m);
  impl<"bucketize.Tensor_out", &bucketize_out>(m);
  impl<"bucketize.Scalar", &bucketize_scalar>(m);
  impl<"isin.Tensor_Tensor", &isin>(m);
  impl<"isin.Tensor_Tensor_out", &isin_out>(m);
  structured<at::native::structured_isin_Tensor_Scalar_out, "isin.Tensor_Scalar",
             "isin.Tensor_Scalar_out">(m);
  structured<at::native::structured_isin_Scalar_Tensor_out, "isin.Scalar_Tensor",
             "isin.Scalar_Tensor_out">(m);
  impl<"_unique", &unique>(m);
  impl<"_unique2", &unique2>(m);
  impl<"unique_dim", &unique_dim>(m);
  impl<"unique_consecutive", &unique_consecutive>(m);
  impl<"unique_dim_consecutive", &unique_dim_consecutive>(m);
  impl<"bincount", &bincount>(m);
  impl<"histc", &histc>(m);
  impl<"histc.out", &histc_out>(m);
  impl<"equal", &equal>(m);
  impl<"trace", &trace>(m);
  impl<"_assert_async", &assert_async>(m);
  impl<"_assert_async.msg", &assert_true>(m);
}

}  // namespace
}  // namespace npu::backend

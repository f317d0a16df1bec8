// Average and maximum pooling in one to three dimensions. Both are separable: windows are taken
// along one dimension after the other, as strided views.
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/avg_pool2d_meta.h>
#include <ATen/ops/avg_pool3d_meta.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max.h>
#include <ATen/ops/max_pool2d_with_indices_meta.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <limits>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"

namespace npu::backend {
namespace {

using at::IntArrayRef;
using at::Scalar;
using at::Tensor;

// The windows of one dimension.
struct Windows {
  int64_t kernel;
  int64_t stride;
  int64_t padding;
  int64_t dilation;
  int64_t count;
};

// PyTorch lets one number stand for all dimensions, and no stride for the kernel's size.
int64_t entry_of(IntArrayRef values, size_t index, IntArrayRef otherwise) {
  if (values.empty()) values = otherwise;
  return values.size() == 1 ? values[0] : values[index];
}

// Replaces `dim` by the windows' number and appends their elements as the last dimension. Beyond
// the tensor lies `fill`.
Tensor take_windows(const Tensor& x, int64_t dim, const Windows& w, const Scalar& fill) {
  const int64_t span = w.dilation * (w.kernel - 1) + 1;
  const int64_t behind = (w.count - 1) * w.stride + span - x.size(dim) - w.padding;
  at::DimVector padding(2 * (x.dim() - dim), 0);
  padding[padding.size() - 2] = w.padding;
  padding[padding.size() - 1] = behind;
  const bool as_is = w.padding == 0 && behind <= 0;
  const Tensor padded = as_is ? x : at::constant_pad_nd(x, padding, fill);
  Tensor taken = padded.unfold(dim, span, w.stride);
  if (taken.size(dim) != w.count) taken = taken.narrow(dim, 0, w.count);
  return taken.slice(-1, std::nullopt, std::nullopt, w.dilation);
}

// Divides by the product of one count for each output position of each dimension.
Tensor divide_by_counts(const Tensor& sums, const std::vector<std::vector<int64_t>>& counts) {
  const auto first = sums.dim() - static_cast<int64_t>(counts.size());
  Tensor divisor = at::ones({}, at::TensorOptions().dtype(sums.scalar_type()));
  for (size_t i = 0; i < counts.size(); ++i) {
    at::DimVector shape(counts.size(), 1);
    shape[i] = sums.size(first + static_cast<int64_t>(i));
    divisor = divisor * at::tensor(counts[i]).to(sums.scalar_type()).view(shape);
  }
  const bool integral = at::isIntegralType(sums.scalar_type(), /*includeBool=*/true);
  const auto mode = integral ? std::optional<std::string_view>("trunc") : std::nullopt;
  return at::div(sums, divisor.to(sums.device()), mode);
}

// How many elements each window holds, with or without the padding that it reaches into.
std::vector<int64_t> window_counts(const Windows& w, int64_t size, bool with_padding) {
  std::vector<int64_t> counts;
  for (int64_t i = 0; i < w.count; ++i) {
    int64_t begin = i * w.stride - w.padding;
    int64_t end = std::min(begin + w.kernel, size + w.padding);
    if (!with_padding) {
      begin = std::max<int64_t>(begin, 0);
      end = std::min(end, size);
    }
    counts.push_back(end - begin);
  }
  return counts;
}

template <class Meta, size_t kDims>
struct AveragePool : Meta {
  void impl(const Tensor& self, IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding, bool,
            bool count_include_pad, std::optional<int64_t> divisor, const Tensor& out) {
    if (out.numel() == 0) return;
    Tensor x = self.to(at::toOpMathType(self.scalar_type()));
    std::vector<std::vector<int64_t>> counts;
    for (size_t i = 0; i < kDims; ++i) {
      const int64_t dim = self.dim() - static_cast<int64_t>(kDims - i);
      const Windows w = {entry_of(kernel, i, {}), entry_of(stride, i, kernel),
                         entry_of(padding, i, {}), 1, out.size(dim)};
      counts.push_back(divisor.has_value() ? std::vector<int64_t>(w.count, i == 0 ? *divisor : 1)
                                           : window_counts(w, x.size(dim), count_include_pad));
      x = take_windows(x, dim, w, 0).sum(-1, /*keepdim=*/false, x.scalar_type());
    }
    out.copy_(divide_by_counts(x, counts));
  }
};

// Output position i averages from floor(i * size / count) to ceil((i + 1) * size / count).
template <int64_t kDims>
Tensor adaptive_average(const Tensor& self, IntArrayRef output_size) {
  TORCH_CHECK(output_size.size() == kDims, "adaptive_avg_pool", kDims, "d: output_size must be ",
              kDims, ", but got ", output_size.size());
  TORCH_CHECK(self.dim() == kDims + 1 || self.dim() == kDims + 2, "adaptive_avg_pool", kDims,
              "d(): Expected ", kDims + 1, "D or ", kDims + 2, "D tensor, but got ", self.sizes());
  at::DimVector shape(self.sizes().begin(), self.sizes().end());
  for (int64_t i = 0; i < kDims; ++i) {
    const int64_t dim = self.dim() - kDims + i;
    TORCH_CHECK(self.size(dim) > 0, "adaptive_avg_pool", kDims,
                "d(): Expected input to have non-zero size for non-batch dimensions, but input has "
                "sizes ",
                self.sizes(), " with dimension ", dim, " being empty");
    shape[dim] = output_size[i];
  }
  if (c10::multiply_integers(shape) == 0) return at::empty(shape, self.options());
  Tensor x = self.to(at::toOpMathType(self.scalar_type()));
  std::vector<std::vector<int64_t>> counts;
  for (int64_t i = 0; i < kDims; ++i) {
    const int64_t dim = self.dim() - kDims + i;
    const int64_t size = self.size(dim);
    const int64_t count = output_size[i];
    if (size % count == 0) {
      const Windows w = {size / count, size / count, 0, 1, count};
      counts.emplace_back(count, w.kernel);
      x = take_windows(x, dim, w, 0).sum(-1);
      continue;
    }
    counts.emplace_back();
    std::vector<Tensor> parts;
    for (int64_t o = 0; o < count; ++o) {
      const int64_t begin = o * size / count;
      const int64_t end = ((o + 1) * size + count - 1) / count;
      counts.back().push_back(end - begin);
      parts.push_back(x.narrow(dim, begin, end - begin).sum(dim, /*keepdim=*/true));
    }
    x = at::cat(parts, dim);
  }
  return divide_by_counts(x, counts)
      .to(self.scalar_type())
      .contiguous(self.suggest_memory_format());
}

template <int64_t kDims>
Tensor& adaptive_average_out(const Tensor& self, IntArrayRef output_size, Tensor& out) {
  const Tensor result = adaptive_average<kDims>(self, output_size);
  at::native::resize_output(out, result.sizes());
  return out.copy_(result);
}

Scalar least_value(at::ScalarType type) {
  if (at::isFloatingType(type)) return -std::numeric_limits<double>::infinity();
  return AT_DISPATCH_INTEGRAL_TYPES(
      type, "max_pool", [] { return Scalar(int64_t{std::numeric_limits<scalar_t>::lowest()}); });
}

// Where each window's maximum, at `place` among its elements, lies in the flattened image.
Tensor image_indices(Tensor place, const std::vector<Windows>& windows, IntArrayRef image) {
  const auto options = place.options();
  Tensor index;
  int64_t scale = 1;
  for (size_t i = windows.size(); i-- > 0;) {
    const Windows& w = windows[i];
    const Tensor rest = at::div(place, w.kernel, "floor");
    const Tensor within = place - rest * w.kernel;
    at::DimVector shape(windows.size(), 1);
    shape[i] = w.count;
    const Tensor start = at::arange(w.count, options).view(shape) * w.stride - w.padding;
    const Tensor position = (start + within * w.dilation) * scale;
    index = index.defined() ? index + position : position;
    scale *= image[i];
    place = rest;
  }
  return index;
}

void maximum(const Tensor& self, const std::vector<Windows>& windows, const Tensor& out,
             const Tensor& indices) {
  if (out.numel() == 0) return;
  const auto dims = static_cast<int64_t>(windows.size());
  const int64_t first = self.dim() - dims;
  Tensor x = self;
  for (int64_t i = 0; i < dims; ++i) {
    x = take_windows(x, first + i, windows[i], least_value(self.scalar_type()));
  }
  const auto [values, place] = at::max(x.flatten(-dims), -1);
  out.copy_(values);
  indices.copy_(image_indices(place, windows, self.sizes().slice(first)));
}

struct MaxPool2d : at::meta::structured_max_pool2d_with_indices {
  void impl(const Tensor& self, IntArrayRef kernel, IntArrayRef stride, IntArrayRef padding,
            IntArrayRef dilation, bool, const Tensor& out, const Tensor& indices) {
    std::vector<Windows> windows;
    for (size_t i = 0; i < 2; ++i) {
      windows.push_back({entry_of(kernel, i, {}), entry_of(stride, i, kernel),
                         entry_of(padding, i, {}), entry_of(dilation, i, {}),
                         out.size(out.dim() - 2 + static_cast<int64_t>(i))});
    }
    maximum(self, windows, out, indices);
  }
};

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<AveragePool<at::meta::structured_avg_pool2d, 2>, "avg_pool2d", "avg_pool2d.out">(m);
  structured<AveragePool<at::meta::structured_avg_pool3d, 3>, "avg_pool3d", "avg_pool3d.out">(m);
  impl<"_adaptive_avg_pool2d", &adaptive_average<2>>(m);
  impl<"adaptive_avg_pool2d.out", &adaptive_average_out<2>>(m);
  impl<"_adaptive_avg_pool3d", &adaptive_average<3>>(m);
  impl<"adaptive_avg_pool3d.out", &adaptive_average_out<3>>(m);
  structured<MaxPool2d, "max_pool2d_with_indices", "max_pool2d_with_indices.out">(m);
}

}  // namespace
}  // namespace npu::backend

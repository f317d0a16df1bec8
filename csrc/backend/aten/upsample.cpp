// Interpolation, one dimension after the other: which elements each output position takes, and
// with what weights, is computed on the host.
#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/native/UpSample.h>
#include <ATen/ops/_upsample_nearest_exact1d_meta.h>
#include <ATen/ops/_upsample_nearest_exact2d_meta.h>
#include <ATen/ops/_upsample_nearest_exact3d_meta.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/upsample_bilinear2d_meta.h>
#include <ATen/ops/upsample_linear1d_meta.h>
#include <ATen/ops/upsample_nearest1d_meta.h>
#include <ATen/ops/upsample_nearest2d_meta.h>
#include <ATen/ops/upsample_nearest3d_meta.h>
#include <ATen/ops/upsample_trilinear3d_meta.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"

namespace npu::backend {
namespace {

using at::Tensor;
using Scale = std::optional<double>;

template <class T>
Tensor on_device(const std::vector<T>& values, const Tensor& like) {
  return at::tensor(values).to(like.device());
}

using NearestIndex = int64_t (*)(int64_t, int64_t, int64_t, Scale);

template <class Meta, NearestIndex source, class Signature = decltype(&Meta::meta)>
struct Nearest;

template <class Meta, NearestIndex source, class... Scales>
struct Nearest<Meta, source, void (Meta::*)(const Tensor&, at::IntArrayRef, Scales...)> : Meta {
  void impl(const Tensor& self, at::IntArrayRef size, Scales... scales, const Tensor& out) {
    const std::array<Scale, sizeof...(Scales)> scale = {scales...};
    Tensor x = self;
    for (size_t i = 0; i < size.size(); ++i) {
      const auto dim = static_cast<int64_t>(2 + i);
      std::vector<int64_t> indices;
      for (int64_t o = 0; o < size[i]; ++o) {
        indices.push_back(source(o, self.size(dim), size[i], scale[i]));
      }
      x = x.index_select(dim, on_device(indices, self));
    }
    out.copy_(x);
  }
};

template <class Meta, class Signature = decltype(&Meta::meta)>
struct Linear;

template <class Meta, class... Scales>
struct Linear<Meta, void (Meta::*)(const Tensor&, at::IntArrayRef, bool, Scales...)> : Meta {
  void impl(const Tensor& self, at::IntArrayRef size, bool align_corners, Scales... scales,
            const Tensor& out) {
    const std::array<Scale, sizeof...(Scales)> scale = {scales...};
    Tensor x = self.to(at::toOpMathType(self.scalar_type()));
    for (size_t i = 0; i < size.size(); ++i) {
      x = interpolate(x, static_cast<int64_t>(2 + i), size[i], align_corners, scale[i]);
    }
    out.copy_(x);
  }

 private:
  static Tensor interpolate(const Tensor& x, int64_t dim, int64_t count, bool align_corners,
                            Scale scale) {
    const int64_t size = x.size(dim);
    std::vector<int64_t> lower(count);
    std::vector<int64_t> upper(count);
    std::vector<float> lower_weight(count);
    std::vector<float> upper_weight(count);
    const auto ratio =
        at::native::area_pixel_compute_scale<float>(size, count, align_corners, scale);
    for (int64_t o = 0; o < count; ++o) {
      at::native::compute_source_index_and_lambda<float, float>(lower[o], upper[o], lower_weight[o],
                                                                upper_weight[o], ratio, o, size,
                                                                count, align_corners);
    }
    at::DimVector shape(x.dim(), 1);
    shape[dim] = count;
    const auto weight = [&](const std::vector<float>& values) {
      return on_device(values, x).to(x.scalar_type()).view(shape);
    };
    return at::addcmul(x.index_select(dim, on_device(lower, x)) * weight(lower_weight),
                       x.index_select(dim, on_device(upper, x)), weight(upper_weight));
  }
};

template <class Meta>
using Floor = Nearest<Meta, &at::native::nearest_idx>;
template <class Meta>
using Exact = Nearest<Meta, &at::native::nearest_exact_idx>;

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<Floor<at::meta::structured_upsample_nearest1d>, "upsample_nearest1d",
             "upsample_nearest1d.out">(m);
  structured<Floor<at::meta::structured_upsample_nearest2d>, "upsample_nearest2d",
             "upsample_nearest2d.out">(m);
  structured<Floor<at::meta::structured_upsample_nearest3d>, "upsample_nearest3d",
             "upsample_nearest3d.out">(m);
  structured<Exact<at::meta::structured__upsample_nearest_exact1d>, "_upsample_nearest_exact1d",
             "_upsample_nearest_exact1d.out">(m);
  structured<Exact<at::meta::structured__upsample_nearest_exact2d>, "_upsample_nearest_exact2d",
             "_upsample_nearest_exact2d.out">(m);
  structured<Exact<at::meta::structured__upsample_nearest_exact3d>, "_upsample_nearest_exact3d",
             "_upsample_nearest_exact3d.out">(m);
  structured<Linear<at::meta::structured_upsample_linear1d>, "upsample_linear1d",
             "upsample_linear1d.out">(m);
  structured<Linear<at::meta::structured_upsample_bilinear2d>, "upsample_bilinear2d",
             "upsample_bilinear2d.out">(m);
  structured<Linear<at::meta::structured_upsample_trilinear3d>, "upsample_trilinear3d",
             "upsample_trilinear3d.out">(m);
}

}  // namespace
}  // namespace npu::backend

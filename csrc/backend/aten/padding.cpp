// Padding by what a tensor holds: each padded dimension is a selection of its own elements.
#include <ATen/OpMathType.h>
#include <ATen/native/Padding.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/reflection_pad1d_backward_meta.h>
#include <ATen/ops/reflection_pad1d_meta.h>
#include <ATen/ops/reflection_pad3d_backward_meta.h>
#include <ATen/ops/reflection_pad3d_meta.h>
#include <ATen/ops/replication_pad1d_backward_meta.h>
#include <ATen/ops/replication_pad1d_meta.h>
#include <ATen/ops/replication_pad2d_meta.h>
#include <ATen/ops/replication_pad3d_meta.h>
#include <ATen/ops/zeros.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"

namespace npu::backend {
namespace {

using at::IntArrayRef;
using at::Tensor;

enum class Padding { reflect, replicate };

// Which element of a dimension of `size` stands at each place of the padded one. Negative padding
// cuts.
Tensor sources(Padding kind, int64_t size, int64_t before, int64_t after, const Tensor& like) {
  const Tensor places = at::arange(-before, size + after, like.options().dtype(at::kLong));
  if (kind == Padding::replicate) return places.clamp(0, size - 1);
  return places.abs().sub_(size - 1).abs_().neg_().add_(size - 1);
}

// Calls f(dim, before, after) for the padded dimensions, the last one first.
template <class F>
void for_each_padded(const Tensor& tensor, IntArrayRef padding, F&& f) {
  for (size_t i = 0; 2 * i < padding.size(); ++i) {
    const int64_t dim = tensor.dim() - 1 - static_cast<int64_t>(i);
    if (padding[2 * i] != 0 || padding[2 * i + 1] != 0) f(dim, padding[2 * i], padding[2 * i + 1]);
  }
}

Tensor padded(Padding kind, const Tensor& self, IntArrayRef padding) {
  Tensor result = self;
  for_each_padded(self, padding, [&](int64_t dim, int64_t before, int64_t after) {
    result = result.index_select(dim, sources(kind, self.size(dim), before, after, self));
  });
  return result;
}

Tensor padded_backward(Padding kind, const Tensor& grad_output, const Tensor& self,
                       IntArrayRef padding) {
  Tensor grad = grad_output.to(at::toOpMathType(grad_output.scalar_type()));
  for_each_padded(self, padding, [&](int64_t dim, int64_t before, int64_t after) {
    auto sizes = grad.sizes().vec();
    sizes[static_cast<size_t>(dim)] = self.size(dim);
    const Tensor index = sources(kind, self.size(dim), before, after, self);
    grad = at::zeros(sizes, grad.options()).index_add_(dim, index, grad);
  });
  return grad.to(grad_output.scalar_type());
}

template <Padding kind, class Meta>
struct Pad : Meta {
  void impl(const Tensor& self, IntArrayRef padding, const Tensor& out) {
    if (out.numel() > 0) out.copy_(padded(kind, self, padding));
  }
};

template <Padding kind, class Meta>
struct PadBackward : Meta {
  void impl(const Tensor& grad_output, const Tensor& self, IntArrayRef padding,
            const Tensor& grad_input) {
    grad_input.copy_(padded_backward(kind, grad_output, self, padding));
  }
};

// ---- Those without a META part ------------------------------------------------------------------

Tensor& reflection_pad2d_out(const Tensor& self, IntArrayRef padding, Tensor& out) {
  at::native::padding::check_valid_input<2>(self, padding);
  for_each_padded(self, padding, [&](int64_t dim, int64_t before, int64_t after) {
    const int64_t size = self.size(dim);
    TORCH_CHECK(before < size && after < size, "Argument #", dim == self.dim() - 1 ? 4 : 6,
                ": Padding size should be less than the corresponding input dimension, but got: ",
                "padding (", before, ", ", after, ") at dimension ", dim, " of input ",
                self.sizes());
    TORCH_CHECK(size + before + after >= 1, "input (", self.sizes(),
                ") is too small: nothing is left of dimension ", dim);
  });
  const Tensor result = padded(Padding::reflect, self, padding);
  at::native::resize_output(out, result.sizes());
  return out.copy_(result);
}

Tensor reflection_pad2d(const Tensor& self, IntArrayRef padding) {
  Tensor out = at::empty({0}, self.options());
  return reflection_pad2d_out(self, padding, out);
}

template <Padding kind>
Tensor& backward_out(const Tensor& grad_output, const Tensor& self, IntArrayRef padding,
                     Tensor& grad_input) {
  auto sizes = self.sizes().vec();
  for_each_padded(self, padding, [&](int64_t dim, int64_t before, int64_t after) {
    sizes[static_cast<size_t>(dim)] += before + after;
  });
  TORCH_CHECK(grad_output.sizes() == IntArrayRef(sizes),
              "grad_output size is unexpected. Expected ", IntArrayRef(sizes),
              ", got: ", grad_output.sizes());
  at::native::resize_output(grad_input, self.sizes());
  return grad_input.copy_(padded_backward(kind, grad_output, self, padding));
}

template <Padding kind>
Tensor backward(const Tensor& grad_output, const Tensor& self, IntArrayRef padding) {
  Tensor grad_input = at::empty({0}, grad_output.options());
  return backward_out<kind>(grad_output, self, padding, grad_input);
}

namespace meta = at::meta;

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  structured<Pad<Padding::reflect, meta::structured_reflection_pad1d>, "reflection_pad1d",
             "reflection_pad1d.out">(m);
  structured<Pad<Padding::reflect, meta::structured_reflection_pad3d>, "reflection_pad3d",
             "reflection_pad3d.out">(m);
  structured<Pad<Padding::replicate, meta::structured_replication_pad1d>, "replication_pad1d",
             "replication_pad1d.out">(m);
  structured<Pad<Padding::replicate, meta::structured_replication_pad2d>, "replication_pad2d",
             "replication_pad2d.out">(m);
  structured<Pad<Padding::replicate, meta::structured_replication_pad3d>, "replication_pad3d",
             "replication_pad3d.out">(m);
  structured<PadBackward<Padding::reflect, meta::structured_reflection_pad1d_backward>,
             "reflection_pad1d_backward", "reflection_pad1d_backward.grad_input">(m);
  structured<PadBackward<Padding::reflect, meta::structured_reflection_pad3d_backward>,
             "reflection_pad3d_backward", "reflection_pad3d_backward.grad_input">(m);
  structured<PadBackward<Padding::replicate, meta::structured_replication_pad1d_backward>,
             "replication_pad1d_backward", "replication_pad1d_backward.grad_input">(m);
  impl<"reflection_pad2d", &reflection_pad2d>(m);
  impl<"reflection_pad2d.out", &reflection_pad2d_out>(m);
  impl<"reflection_pad2d_backward", &backward<Padding::reflect>>(m);
  impl<"reflection_pad2d_backward.grad_input", &backward_out<Padding::reflect>>(m);
  impl<"replication_pad2d_backward", &backward<Padding::replicate>>(m);
  impl<"replication_pad2d_backward.grad_input", &backward_out<Padding::replicate>>(m);
  impl<"replication_pad3d_backward", &backward<Padding::replicate>>(m);
  impl<"replication_pad3d_backward.grad_input", &backward_out<Padding::replicate>>(m);
}

}  // namespace
}  // namespace npu::backend

// Ops that put tensors or parts of them side by side.
#include <ATen/WrapDimUtilsMulti.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat_meta.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/roll_native.h>
#include <ATen/ops/searchsorted.h>
#include <npu/kernels/elementwise.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/tensor/copy.h"

namespace npu::backend {
namespace {

using at::Tensor;

void run_cat(const Tensor& out, const at::ITensorListRef& tensors, int64_t dim) {
  int64_t start = 0;
  for (const Tensor& tensor : tensors) {
    if (tensor.dim() == 1 && tensor.size(0) == 0) continue;  // whatever the others' rank is
    const int64_t size = tensor.size(dim);
    if (tensor.numel() > 0) copy_tensor(out.narrow(dim, start, size), tensor);
    start += size;
  }
}

Tensor cat(const at::ITensorListRef& tensors, int64_t dim) {
  Structured<at::meta::structured_cat> op;
  const auto plan = op.meta(tensors, dim);
  run_cat(op.output(), tensors, plan.dim);
  return op.finish();
}

Tensor& cat_out(const at::ITensorListRef& tensors, int64_t dim, Tensor& out) {
  Structured<at::meta::structured_cat> op(out);
  const auto plan = op.meta(tensors, dim);
  run_cat(op.output(), tensors, plan.dim);
  op.finish();
  return out;
}

// A copy from a view whose strides are negative, which PyTorch's tensors cannot have.
Tensor flip(const Tensor& self, at::IntArrayRef dims) {
  const auto flipped = at::dim_list_to_bitset(dims, self.dim());
  Tensor out = at::empty_like(self);
  if (self.numel() == 0) return out;
  kernels::Tensor view = to_kernel(self);
  for (int d = 0; d < view.rank; ++d) {
    if (!flipped[d]) continue;
    const int64_t last = (view.sizes[d] - 1) * view.strides[d];
    view.data = static_cast<std::byte*>(view.data) + last * self.itemsize();
    view.strides[d] = -view.strides[d];
  }
  NPU_CHECK(kernels::copy(to_kernel(out), view, stream_of(self)));
  return out;
}

// Element i of the result is how many elements end at or before i: a search in the sums.
Tensor repeat_interleave(const Tensor& repeats, std::optional<int64_t> output_size) {
  TORCH_CHECK(repeats.dim() == 1, "repeat_interleave only accept 1D vector as repeat");
  TORCH_CHECK(repeats.scalar_type() == at::kLong || repeats.scalar_type() == at::kInt,
              "repeats has to be Long or Int tensor");
  if (repeats.size(0) == 0) return at::empty_like(repeats);
  const Tensor ends = at::cumsum(repeats, 0);
  int64_t total = 0;
  if (output_size.has_value()) {
    total = *output_size;
  } else {
    TORCH_CHECK(repeats.min().item<int64_t>() >= 0, "repeats can not be negative");
    total = ends.select(0, -1).item<int64_t>();
  }
  const Tensor places = at::arange(total, ends.options());
  return at::searchsorted(ends, places, false, true).to(repeats.scalar_type());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("cat", &cat);  // of any dtype: it only copies
  m.impl("cat.out", &cat_out);
  impl<"flip", &flip>(m);
  impl<"roll", &at::native::roll>(m);
  impl<"repeat_interleave.Tensor", &repeat_interleave>(m);
}

}  // namespace
}  // namespace npu::backend

// Tensors that follow from numbers alone: ranges, identities, triangles.
#include <ATen/Dispatch.h>
#include <ATen/native/RangeFactories.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/arange_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/linspace_native.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/tril_meta.h>
#include <ATen/ops/triu.h>
#include <ATen/ops/triu_meta.h>
#include <npu/kernels/elementwise.h>

#include <cmath>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;
using at::TensorIterator;

void run_arange(const Tensor& out, const kernels::Scalar& start, const kernels::Scalar& step) {
  NPU_CHECK(kernels::arange(to_kernel(out), start, step, stream_of(out)));
}

void arange_kernel(TensorIterator& iterator, const Scalar& start, const Scalar& /*steps*/,
                   const Scalar& step) {
  run_arange(iterator.tensor(0), to_kernel(start), to_kernel(step));
}

// What an element of the type keeps of the number: ends of ranges are rounded before all else.
double rounded(const Scalar& value, at::ScalarType type) {
  return AT_DISPATCH_ALL_TYPES_AND2(at::kHalf, at::kBFloat16, type, "range",
                                    [&] { return static_cast<double>(value.to<scalar_t>()); });
}

// Both ends are exact: the second half counts down from the end.
void linspace_kernel(TensorIterator& iterator, const Scalar& start, const Scalar& end,
                     int64_t steps) {
  const Tensor out = iterator.tensor(0);
  if (!at::isFloatingType(out.scalar_type())) {
    // Integers truncate what has been computed in reals.
    const auto type = out.scalar_type();
    out.copy_(at::linspace(rounded(start, type), rounded(end, type), steps,
                           out.options().dtype(at::kDouble)));
    return;
  }
  const double first = start.toDouble();
  const double last = end.toDouble();
  const double step = (last - first) / static_cast<double>(steps - 1);
  const int64_t half = steps / 2;
  const Tensor line = out.view(-1);
  run_arange(line.narrow(0, 0, half), first, step);
  kernels::Tensor rest = to_kernel(line.narrow(0, half, steps - half));
  rest.data = static_cast<std::byte*>(rest.data) + (rest.sizes[0] - 1) * out.itemsize();
  rest.strides[0] = -1;
  NPU_CHECK(kernels::arange(rest, last, -step, stream_of(out)));
}

Tensor& logspace_out(const Scalar& start, const Scalar& end, int64_t steps, double base,
                     Tensor& out) {
  TORCH_CHECK(steps >= 0, "number of steps must be non-negative");
  if (out.numel() != steps) out.resize_({steps});
  if (steps == 1) return out.fill_(std::pow(base, start.toDouble()));
  const auto type = out.scalar_type();
  const Tensor exponents = at::linspace(rounded(start, type), rounded(end, type), steps,
                                        out.options().dtype(at::kDouble));
  out.copy_(at::pow(base, exponents));
  return out;
}

Tensor& range_out(const Scalar& start, const Scalar& end, const Scalar& step, Tensor& out) {
  const double first = start.toDouble();
  const double last = end.toDouble();
  const double by = step.toDouble();
  TORCH_CHECK(by != 0, "step must be nonzero");
  TORCH_CHECK(std::isfinite(first) && std::isfinite(last), "unsupported range: ", first, " -> ",
              last);
  TORCH_CHECK((by > 0 && last >= first) || (by < 0 && last <= first),
              "upper bound and lower bound inconsistent with step sign");
  const auto size = static_cast<int64_t>((last - first) / by + 1);
  if (out.numel() != size) out.resize_({size});
  if (size > 0) run_arange(out, to_kernel(start), to_kernel(step));
  return out;
}

Tensor& eye_m_out(int64_t n, int64_t m, Tensor& out) {
  TORCH_CHECK(n >= 0, "n must be greater or equal to 0, got ", n);
  TORCH_CHECK(m >= 0, "m must be greater or equal to 0, got ", m);
  out.resize_({n, m});
  out.zero_();
  if (out.numel() > 0) out.diagonal().fill_(1);
  return out;
}

Tensor& eye_out(int64_t n, Tensor& out) { return eye_m_out(n, n, out); }

template <class Meta, bool lower>
struct Triangle {
  static Tensor functional(const Tensor& self, int64_t diagonal) {
    Structured<Meta> op;
    op.meta(self, diagonal);
    run(op.output(), self, diagonal);
    return op.finish();
  }
  static Tensor& out(const Tensor& self, int64_t diagonal, Tensor& out) {
    Structured<Meta> op(out);
    op.meta(self, diagonal);
    run(op.output(), self, diagonal);
    op.finish();
    return out;
  }

 private:
  static void run(const Tensor& out, const Tensor& self, int64_t diagonal) {
    if (out.numel() == 0) return;
    NPU_CHECK(kernels::triangle(to_kernel(out), to_kernel(self), diagonal, lower, stream_of(self)));
  }
};

template <bool lower>
Tensor triangle_indices(int64_t rows, int64_t cols, int64_t offset,
                        std::optional<at::ScalarType> dtype, std::optional<at::Layout> layout,
                        std::optional<at::Device> device, std::optional<bool> pin_memory) {
  TORCH_CHECK(rows >= 0, "row must be non-negative, got", rows);
  TORCH_CHECK(cols >= 0, "col must be non-negative, got", cols);
  TORCH_CHECK(!layout.has_value() || *layout == at::kStrided, "only support layout=torch.strided");
  const Tensor all = at::ones({rows, cols}, at::kBool, layout, device, pin_memory);
  const Tensor part = lower ? at::tril(all, offset) : at::triu(all, offset);
  return at::nonzero(part).t().contiguous().to(dtype.value_or(at::kLong));
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

REGISTER_PRIVATEUSE1_DISPATCH(arange_stub, &npu::backend::arange_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(linspace_stub, &npu::backend::linspace_kernel)

}  // namespace at::native

namespace npu::backend {

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"arange.start_out", static_cast<Tensor& (*)(const Scalar&, const Scalar&, const Scalar&,
                                                   Tensor&)>(&at::native::arange_out)>(m);
  impl<"linspace.out", static_cast<Tensor& (*)(const Scalar&, const Scalar&, int64_t, Tensor&)>(
                           &at::native::linspace_out)>(m);
  impl<"logspace.out", &logspace_out>(m);
  impl<"range.out", &range_out>(m);
  impl<"eye.out", &eye_out>(m);
  impl<"eye.m_out", &eye_m_out>(m);
  using Tril = Triangle<at::meta::structured_tril, true>;
  using Triu = Triangle<at::meta::structured_triu, false>;
  impl<"tril", &Tril::functional>(m);
  impl<"tril.out", &Tril::out>(m);
  impl<"triu", &Triu::functional>(m);
  impl<"triu.out", &Triu::out>(m);
  impl<"tril_indices", &triangle_indices<true>>(m);
  impl<"triu_indices", &triangle_indices<false>>(m);
}

}  // namespace npu::backend

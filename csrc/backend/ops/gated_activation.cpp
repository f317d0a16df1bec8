// torch.ops.npu.silu_and_mul and gelu_and_mul.
#include <ATen/ops/empty.h>
#include <npu/kernels/attention.h>
#include <torch/library.h>

#include "csrc/backend/ops/shapes.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

using at::Tensor;
using kernels::GatedActivation;

Tensor result_of(std::string_view op, const Tensor& x) {
  check_floating(op, "x", x);
  TORCH_CHECK(x.dim() >= 1 && x.size(-1) % 2 == 0, "npu::", op,
              ": expected the last dimension of x to be even, but its sizes are ", x.sizes());
  at::DimVector sizes(x.sizes());
  sizes.back() /= 2;
  return at::empty(sizes, x.options());
}

Tensor run(std::string_view op, GatedActivation activation, const Tensor& x) {
  Tensor out = result_of(op, x);
  if (out.numel() == 0) return out;
  NPU_CHECK(kernels::gated_activation(activation, to_kernel(out.view({-1, out.size(-1)})),
                                      to_kernel(x.reshape({-1, x.size(-1)})),
                                      current_stream(x.device().index())));
  return out;
}

GatedActivation parse_gelu(std::string_view approximate) {
  TORCH_CHECK_VALUE(approximate == "none" || approximate == "tanh",
                    "npu::gelu_and_mul: approximate '", approximate,
                    "'; allowed are none and tanh");
  return approximate == "tanh" ? GatedActivation::gelu_tanh : GatedActivation::gelu;
}

Tensor silu_and_mul(const Tensor& x) { return run("silu_and_mul", GatedActivation::silu, x); }
Tensor silu_and_mul_meta(const Tensor& x) { return result_of("silu_and_mul", x); }

Tensor gelu_and_mul(const Tensor& x, std::string_view approximate) {
  return run("gelu_and_mul", parse_gelu(approximate), x);
}
Tensor gelu_and_mul_meta(const Tensor& x, std::string_view approximate) {
  parse_gelu(approximate);
  return result_of("gelu_and_mul", x);
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, PrivateUse1, m) {
  m.impl("silu_and_mul", &silu_and_mul);
  m.impl("gelu_and_mul", &gelu_and_mul);
}
TORCH_LIBRARY_IMPL(npu, Meta, m) {
  m.impl("silu_and_mul", &silu_and_mul_meta);
  m.impl("gelu_and_mul", &gelu_and_mul_meta);
}

}  // namespace npu::backend

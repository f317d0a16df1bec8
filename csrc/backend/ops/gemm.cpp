// torch.ops.npu.gemm: matrix product with bias and activation in one launch.
#include <ATen/ExpandUtils.h>
#include <ATen/ops/empty.h>
#include <npu/kernels/matmul.h>
#include <torch/library.h>

#include <array>
#include <string_view>
#include <utility>

#include "csrc/backend/ops/shapes.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

using at::Tensor;
using kernels::Activation;

constexpr std::array<std::pair<std::string_view, Activation>, 7> kActivations = {{
    {"none", Activation::none},
    {"relu", Activation::relu},
    {"gelu", Activation::gelu},
    {"gelu_tanh", Activation::gelu_tanh},
    {"silu", Activation::silu},
    {"sigmoid", Activation::sigmoid},
    {"tanh", Activation::tanh},
}};

Activation parse_activation(std::string_view name) {
  for (const auto& [text, activation] : kActivations) {
    if (text == name) return activation;
  }
  TORCH_CHECK_VALUE(false, "npu::gemm: activation '", name,
                    "'; allowed are none, relu, gelu, gelu_tanh, silu, sigmoid, tanh");
}

// Checks the arguments and makes the result, on any device.
Tensor gemm_result(const Tensor& a, const Tensor& b, const std::optional<Tensor>& bias,
                   std::string_view activation) {
  parse_activation(activation);
  TORCH_CHECK(a.dim() == b.dim() && (a.dim() == 2 || a.dim() == 3),
              "npu::gemm: expected a and b of 2 or of 3 dimensions each, but their sizes are ",
              a.sizes(), " and ", b.sizes());
  TORCH_CHECK(a.size(-1) == b.size(-2) && (a.dim() == 2 || a.size(0) == b.size(0)),
              "npu::gemm: a and b shapes cannot be multiplied (", a.sizes(), " and ", b.sizes(),
              ")");
  check_same_dtype("gemm", "b", b, a);
  at::DimVector sizes(a.sizes());
  sizes.back() = b.size(-1);
  if (bias.has_value() && bias->defined()) {
    TORCH_CHECK(at::is_expandable_to(bias->sizes(), sizes), "npu::gemm: bias of sizes ",
                bias->sizes(), " does not broadcast to the result's ", at::IntArrayRef(sizes));
    check_same_device("gemm", {&a, &b, &*bias});
  } else {
    check_same_device("gemm", {&a, &b});
  }
  return at::empty(sizes, a.options());
}

Tensor gemm_meta(const Tensor& a, const Tensor& b, const std::optional<Tensor>& bias,
                 std::string_view activation) {
  return gemm_result(a, b, bias, activation);
}

Tensor gemm(const Tensor& a, const Tensor& b, const std::optional<Tensor>& bias,
            std::string_view activation) {
  Tensor out = gemm_result(a, b, bias, activation);
  kernels::MatmulEpilogue epilogue;
  epilogue.activation = parse_activation(activation);
  if (bias.has_value() && bias->defined()) epilogue.bias = to_kernel(bias->expand(out.sizes()));
  NPU_CHECK(kernels::matmul(to_kernel(out), to_kernel(a), to_kernel(b), epilogue,
                            current_stream(a.device().index())));
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, PrivateUse1, m) { m.impl("gemm", &gemm); }
TORCH_LIBRARY_IMPL(npu, Meta, m) { m.impl("gemm", &gemm_meta); }

}  // namespace npu::backend

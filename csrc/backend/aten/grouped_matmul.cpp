// _grouped_mm: products of groups of different lengths, as mixtures of experts and their gradients
// need them.
#include <ATen/native/GroupedMMUtils.h>
#include <npu/kernels/matmul.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Tensor;

Tensor grouped_mm(const Tensor& self, const Tensor& mat2, const std::optional<Tensor>& offs,
                  const std::optional<Tensor>& bias, std::optional<at::ScalarType> out_dtype) {
  at::native::_grouped_mm_validate_inputs(self, mat2, offs, bias, out_dtype);
  const auto dtype = at::native::_resolve_grouped_mm_out_dtype(self, mat2, out_dtype);
  TORCH_CHECK(self.dim() == 3 || mat2.dim() == 3 || self.size(1) == mat2.size(0),
              "contraction dimension of mat_a and mat_b must match");
  TORCH_CHECK(self.scalar_type() == mat2.scalar_type(),
              "expected mat_a and mat_b to have the same dtype, but got: ", self.dtype().name(),
              " != ", mat2.dtype().name());
  TORCH_CHECK(self.device() == mat2.device() && (!offs || self.device() == offs->device()),
              "Expected all tensors to be on the same device. Found: ", self.device(), ", ",
              mat2.device(), " and ", offs ? offs->device() : self.device());
  Tensor out = at::native::create_grouped_gemm_output_tensor(self, mat2, offs, dtype);
  if (!offs) {
    at::bmm_out(out, self, mat2);
    return out;
  }
  NPU_CHECK(kernels::grouped_matmul(to_kernel(out), to_kernel(self), to_kernel(mat2),
                                    to_kernel(*offs), {}, stream_of(out)));
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) { impl<"_grouped_mm", &grouped_mm>(m); }

}  // namespace npu::backend

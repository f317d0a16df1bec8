#include "csrc/backend/runtime/tensor.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace npu::backend {
namespace {

constexpr std::pair<c10::ScalarType, npuDataType> kTypes[] = {
    {c10::kDouble, NPU_F64},
    {c10::kFloat, NPU_F32},
    {c10::kHalf, NPU_F16},
    {c10::kBFloat16, NPU_BF16},
    {c10::kLong, NPU_I64},
    {c10::kInt, NPU_I32},
    {c10::kShort, NPU_I16},
    {c10::kChar, NPU_I8},
    {c10::kByte, NPU_U8},
    {c10::kBool, NPU_BOOL},
    {c10::kFloat8_e4m3fn, NPU_F8E4M3},
    {c10::kFloat8_e5m2, NPU_F8E5M2},
};

}  // namespace

std::optional<npuDataType> find_dtype(c10::ScalarType type) noexcept {
  for (const auto& [scalar_type, dtype] : kTypes) {
    if (scalar_type == type) return dtype;
  }
  return std::nullopt;
}

npuDataType to_dtype(c10::ScalarType type) {
  const auto dtype = find_dtype(type);
  TORCH_CHECK_NOT_IMPLEMENTED(dtype, "the npu device has no kernels for dtype ", type);
  return *dtype;
}

c10::ScalarType to_scalar_type(npuDataType dtype) {
  for (const auto& [scalar_type, code] : kTypes) {
    if (code == dtype) return scalar_type;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(false, "PyTorch has no dtype for the npu's data type ", int{dtype});
}

bool has_kernels(c10::ScalarType type) noexcept {
  const auto dtype = find_dtype(type);
  return dtype && *dtype <= NPU_BOOL;
}

kernels::Tensor to_kernel(const at::Tensor& tensor) {
  TORCH_CHECK(is_npu(tensor), "expected a tensor on npu, found one on ", tensor.device());
  TORCH_CHECK(tensor.dim() <= kernels::kMaxRank, "the npu device takes at most ", kernels::kMaxRank,
              " dimensions, got ", tensor.dim());
  kernels::Tensor result;
  result.dtype = to_dtype(tensor.scalar_type());
  // Kernels take outputs and inputs in the same structure; materialises a lazily cloned storage.
  result.data = tensor.data_ptr();
  result.rank = static_cast<int>(tensor.dim());
  std::ranges::copy(tensor.sizes(), result.sizes.begin());
  std::ranges::copy(tensor.strides(), result.strides.begin());
  return result;
}

kernels::Tensor to_kernel(const std::optional<at::Tensor>& tensor) {
  return tensor && tensor->defined() ? to_kernel(*tensor) : kernels::Tensor{};
}

kernels::Scalar to_kernel(const c10::Scalar& scalar) {
  TORCH_CHECK_NOT_IMPLEMENTED(!scalar.isComplex(), "the npu device has no complex arithmetic");
  return scalar.isFloatingPoint() ? kernels::Scalar(scalar.toDouble())
                                  : kernels::Scalar(scalar.to<int64_t>());
}

}  // namespace npu::backend

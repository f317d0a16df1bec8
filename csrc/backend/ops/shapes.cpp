#include "csrc/backend/ops/shapes.h"

#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {

void check_floating(std::string_view op, std::string_view name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(at::isFloatingType(tensor.scalar_type()) && has_kernels(tensor.scalar_type()),
                   "npu::", op, ": expected ", name,
                   " to be float32, float16, bfloat16 or float64, but it is ",
                   tensor.scalar_type());
}

void check_dim(std::string_view op, std::string_view name, const at::Tensor& tensor, int64_t dim) {
  TORCH_CHECK(tensor.dim() == dim, "npu::", op, ": expected ", name, " to have ", dim,
              " dimensions, but its sizes are ", tensor.sizes());
}

void check_sizes(std::string_view op, std::string_view name, const at::Tensor& tensor,
                 at::IntArrayRef expected) {
  TORCH_CHECK(tensor.sizes() == expected, "npu::", op, ": expected ", name, " to have sizes ",
              expected, ", but they are ", tensor.sizes());
}

void check_same_dtype(std::string_view op, std::string_view name, const at::Tensor& tensor,
                      const at::Tensor& other) {
  TORCH_CHECK(tensor.scalar_type() == other.scalar_type(), "npu::", op, ": expected ", name,
              " to be ", other.scalar_type(), ", but it is ", tensor.scalar_type());
}

void check_index(std::string_view op, std::string_view name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(tensor.scalar_type() == at::kInt || tensor.scalar_type() == at::kLong,
                   "npu::", op, ": expected ", name, " to be int32 or int64, but it is ",
                   tensor.scalar_type());
}

void check_unit_stride(std::string_view op, std::string_view name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.dim() == 0 || tensor.size(-1) == 1 || tensor.stride(-1) == 1, "npu::", op,
              ": expected the last dimension of ", name, " to have stride 1, but its strides are ",
              tensor.strides());
}

void check_same_device(std::string_view op, std::initializer_list<const at::Tensor*> tensors) {
  const at::Tensor* first = nullptr;
  for (const at::Tensor* tensor : tensors) {
    if (!tensor->defined()) continue;
    if (first == nullptr) first = tensor;
    TORCH_CHECK(tensor->device() == first->device(), "npu::", op,
                ": expected all tensors to be on the same device, but found ", first->device(),
                " and ", tensor->device());
  }
}

}  // namespace npu::backend

// Argument checks that the custom ops share. Each throws PyTorch's usual exception class with the
// offending values.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace npu::backend {

inline bool given(const std::optional<at::Tensor>& tensor) {
  return tensor.has_value() && tensor->defined();
}

// Floating, with kernels (f32, f16, bf16, f64).
void check_floating(std::string_view op, std::string_view name, const at::Tensor& tensor);
void check_dim(std::string_view op, std::string_view name, const at::Tensor& tensor, int64_t dim);
void check_sizes(std::string_view op, std::string_view name, const at::Tensor& tensor,
                 at::IntArrayRef expected);
void check_same_dtype(std::string_view op, std::string_view name, const at::Tensor& tensor,
                      const at::Tensor& other);
// i32 or i64.
void check_index(std::string_view op, std::string_view name, const at::Tensor& tensor);
void check_unit_stride(std::string_view op, std::string_view name, const at::Tensor& tensor);
void check_same_device(std::string_view op, std::initializer_list<const at::Tensor*> tensors);

}  // namespace npu::backend

// Runs the META part of PyTorch's structured ops, so that shapes, type promotion, error messages
// and TensorIterator set-up are PyTorch's own, and makes or checks the outputs.
//
//   Structured<at::meta::structured_sin> op(out);   // or () for the functional form
//   op.meta(self);
//   ... fill op.output(0) ...
//   return op.finish();
#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/TensorIterator.h>
#include <ATen/TensorMeta.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/empty_strided.h>

#include <array>
#include <tuple>
#include <type_traits>
#include <utility>

namespace npu::backend {

// The out= contract: same dtype and device as META asks, resized if the shape differs.
inline void resize_out(const at::Tensor& out, at::IntArrayRef sizes, at::IntArrayRef strides,
                       const at::TensorOptions& options) {
  TORCH_CHECK(options.dtype() == out.dtype(), "Expected out tensor to have dtype ", options.dtype(),
              ", but got ", out.dtype(), " instead");
  TORCH_CHECK(options.device() == out.device(), "Expected out tensor to have device ",
              options.device(), ", but got ", out.device(), " instead");
  const bool resized = at::native::resize_output(out, sizes);
  if (!resized) return;
  if (!strides.empty()) {
    out.as_strided_(sizes, strides);
  } else if (options.memory_format_opt().has_value()) {
    out.unsafeGetTensorImpl()->empty_tensor_restride(*options.memory_format_opt());
  }
}

template <class Meta, int kOutputs = 1>
class Structured final : public Meta {
 public:
  Structured() = default;

  template <class... Out>
    requires(sizeof...(Out) == kOutputs)
  explicit Structured(Out&... out) : outputs_{out...}, given_(true) {}

  const at::Tensor& maybe_get_output(int64_t index) override {
    return proxies_[index].defined() ? proxies_[index] : outputs_[index];
  }

  // The kernel wants exactly these strides: an out= tensor with others gets a proxy.
  void set_output_strided(int64_t index, at::IntArrayRef sizes, at::IntArrayRef strides,
                          at::TensorOptions options) override {
    set_output(index, sizes, strides, options);
    if (given_ && !strides.empty() && outputs_[index].strides() != strides) {
      proxies_[index] = at::empty_strided(sizes, strides, options);
    }
    publish(index, sizes, strides, options);
  }

  // The kernel takes whatever strides the output has.
  void set_output_raw_strided(int64_t index, at::IntArrayRef sizes, at::IntArrayRef strides,
                              at::TensorOptions options) override {
    set_output(index, sizes, strides, options);
    publish(index, sizes, strides, options);
  }

  // Where the kernel writes.
  const at::Tensor& output(int64_t index = 0) { return maybe_get_output(index); }

  // Copies proxies back; the op's result.
  at::Tensor& finish() {
    for (int i = 0; i < kOutputs; ++i) {
      if (proxies_[i].defined()) outputs_[i].copy_(proxies_[i]);
    }
    return outputs_[0];
  }
  std::array<at::Tensor, kOutputs>& finish_all() {
    finish();
    return outputs_;
  }

 private:
  void set_output(int64_t index, at::IntArrayRef sizes, at::IntArrayRef strides,
                  const at::TensorOptions& options) {
    if (given_) {
      resize_out(outputs_[index], sizes, strides, options);
    } else if (strides.empty()) {
      outputs_[index] = at::empty(sizes, options);
    } else {
      outputs_[index] = at::empty_strided(sizes, strides, options);
    }
  }

  // TensorIterator's part of set_output must come after the output exists.
  void publish(int64_t index, at::IntArrayRef sizes, at::IntArrayRef strides,
               const at::TensorOptions& options) {
    if constexpr (std::is_base_of_v<at::TensorIteratorBase, Meta>) {
      Meta::set_output_raw_strided(index, sizes, strides, options);
    }
  }

  std::array<at::Tensor, kOutputs> outputs_;
  std::array<at::Tensor, kOutputs> proxies_;
  bool given_ = false;
};

}  // namespace npu::backend

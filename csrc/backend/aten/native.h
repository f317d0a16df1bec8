// Registers a kernel of the device for an ATen op.
//
//   impl<"gather.out", &gather_out>(m);
//
// A call with a dtype that the device has no kernels for (complex, say) goes to the counted
// fallback instead, under the op's name.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/boxing/impl/boxing.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <string>
#include <type_traits>
#include <utility>

#include "csrc/backend/aten/name.h"
#include "csrc/backend/fallback/fallback.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {

// Whether the device has kernels for every tensor and scalar among the arguments.
inline bool computable(const at::Tensor& tensor) {
  return !tensor.defined() || (has_kernels(tensor.scalar_type()) && !tensor.is_sparse());
}
inline bool computable(const std::optional<at::Tensor>& tensor) {
  return !tensor.has_value() || computable(*tensor);
}
inline bool computable(const at::Scalar& scalar) { return !scalar.isComplex(); }
inline bool computable(std::optional<at::ScalarType> type) {
  return !type.has_value() || has_kernels(*type);
}
inline bool computable(at::TensorList tensors) {
  for (const auto& tensor : tensors) {
    if (!computable(tensor)) return false;
  }
  return true;
}
template <class T>
  requires(!std::is_convertible_v<T, at::Tensor> && !std::is_convertible_v<T, at::TensorList> &&
           !std::is_convertible_v<T, at::Scalar> &&
           !std::is_convertible_v<T, std::optional<at::ScalarType>> &&
           !std::is_convertible_v<T, std::optional<at::Tensor>>)
bool computable(const T&) {
  return true;
}

template <Name name, auto kernel, class Signature = std::remove_pointer_t<decltype(kernel)>>
struct Native;

template <Name name, auto kernel, class Result, class... Args>
struct Native<name, kernel, Result(Args...)> {
  static Result call(Args... args) {
    if (C10_LIKELY((computable(args) && ...))) return kernel(std::forward<Args>(args)...);
    return c10::impl::BoxedKernelWrapper<Result(Args...)>::call(
        c10::BoxedKernel::makeFromFunction<&cpu_fallback>(), handle(),
        c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), std::forward<Args>(args)...);
  }

 private:
  static const c10::OperatorHandle& handle() {
    static const c10::OperatorHandle op = [] {
      const std::string text(name.view());
      const auto dot = text.find('.');
      const std::string overload = dot == std::string::npos ? "" : text.substr(dot + 1);
      return c10::Dispatcher::singleton().findSchemaOrThrow(
          ("aten::" + text.substr(0, dot)).c_str(), overload.c_str());
    }();
    return op;
  }
};

template <Name name, auto kernel>
void impl(torch::Library& library) {
  library.impl(name.text, &Native<name, kernel>::call);
}

}  // namespace npu::backend

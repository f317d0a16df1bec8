// Turns one of PyTorch's exported structured kernels (META and IMPL, over a dispatch stub that this
// backend registers) into the functional and out= kernels of the device.
#pragma once

#include <tuple>
#include <type_traits>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"

namespace npu::backend {

// META takes optional operands as references to them; ops take std::optional.
template <class T>
struct SchemaType {
  using type = T;
};
template <>
struct SchemaType<at::OptionalScalarRef> {
  using type = const std::optional<at::Scalar>&;
};
template <>
struct SchemaType<at::OptionalTensorRef> {
  using type = const std::optional<at::Tensor>&;
};
template <class T>
using schema_type = typename SchemaType<T>::type;

template <class T>
T meta_argument(schema_type<T> argument) {
  if constexpr (std::is_same_v<T, at::OptionalScalarRef>) {
    return argument.has_value() ? at::OptionalScalarRef(&*argument) : at::OptionalScalarRef();
  } else if constexpr (std::is_same_v<T, at::OptionalTensorRef>) {
    return argument.has_value() && argument->defined() ? at::OptionalTensorRef(*argument)
                                                       : at::OptionalTensorRef();
  } else {
    return std::forward<T>(argument);
  }
}

template <class Kernel, class Signature = decltype(&Kernel::impl),
          class MetaSignature = decltype(&Kernel::meta)>
struct StructuredImpl;

template <class Kernel, class Base, class MetaResult, class... ImplArgs, class... Args>
struct StructuredImpl<Kernel, void (Kernel::*)(ImplArgs...), MetaResult (Base::*)(Args...)> {
  static constexpr int kOutputs = sizeof...(ImplArgs) - sizeof...(Args);
  using Results = std::conditional_t<kOutputs == 1, at::Tensor, std::tuple<at::Tensor, at::Tensor>>;

  static Results functional(schema_type<Args>... args) {
    Structured<Kernel, kOutputs> op;
    run(op, args...);
    if constexpr (kOutputs == 1) {
      return op.finish();
    } else {
      auto& outputs = op.finish_all();
      return {outputs[0], outputs[1]};
    }
  }
  static at::Tensor& out(schema_type<Args>... args, at::Tensor& out) {
    Structured<Kernel> op(out);
    run(op, args...);
    op.finish();
    return out;
  }
  static std::tuple<at::Tensor&, at::Tensor&> out_pair(schema_type<Args>... args, at::Tensor& first,
                                                       at::Tensor& second) {
    Structured<Kernel, kOutputs> op(first, second);
    run(op, args...);
    op.finish();
    return {first, second};
  }

 private:
  static void run(Structured<Kernel, kOutputs>& op, schema_type<Args>... args) {
    if constexpr (kOutputs == 1) {
      op.meta(meta_argument<Args>(args)...);
      op.impl(meta_argument<Args>(args)..., op.output(0));
    } else {
      op.meta(meta_argument<Args>(args)...);
      op.impl(meta_argument<Args>(args)..., op.output(0), op.output(1));
    }
  }
};

template <class Kernel, Name functional, Name out>
void structured(torch::Library& library) {
  using Op = StructuredImpl<Kernel>;
  impl<functional, &Op::functional>(library);
  if constexpr (Op::kOutputs == 1) {
    impl<out, &Op::out>(library);
  } else {
    impl<out, &Op::out_pair>(library);
  }
}

}  // namespace npu::backend

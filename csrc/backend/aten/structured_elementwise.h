// Turns a structured TensorIterator op and a plan into its functional and out= kernels.
#pragma once

#include "csrc/backend/aten/iterator.h"
#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"

namespace npu::backend {

// `plan_of(args...)` names the table entry and its scalars.
template <class Meta, auto plan_of, class Signature = decltype(&Meta::meta)>
struct StructuredElementwise;

template <class Meta, auto plan_of, class... Args>
struct StructuredElementwise<Meta, plan_of, void (Meta::*)(Args...)> {
  static at::Tensor functional(Args... args) {
    Structured<Meta> op;
    return run(op, args...);
  }
  static at::Tensor& out(Args... args, at::Tensor& out) {
    Structured<Meta> op(out);
    run(op, args...);
    return out;
  }

 private:
  static at::Tensor& run(Structured<Meta>& op, Args... args) {
    op.meta(args...);
    run_elementwise(op, plan_of(args...));
    return op.finish();
  }
};

// The plan of ops that pass no scalars.
template <Name name>
inline constexpr auto entry = [](const auto&...) { return plan<name>(); };

// Registers both forms; PyTorch derives the in-place one.
template <class Meta, auto plan_of, Name functional, Name out>
void elementwise(torch::Library& library) {
  using Kernel = StructuredElementwise<Meta, plan_of>;
  impl<functional, &Kernel::functional>(library);
  impl<out, &Kernel::out>(library);
}

}  // namespace npu::backend

// Python's `<<` and `>>`, which are operators of their own beside the named ones.
#include <ATen/ops/bitwise_left_shift.h>
#include <ATen/ops/bitwise_right_shift.h>

#include "csrc/backend/aten/native.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;

template <class Other>
Tensor left(const Tensor& self, const Other& other) {
  return at::bitwise_left_shift(self, other);
}

template <class Other>
Tensor right(const Tensor& self, const Other& other) {
  return at::bitwise_right_shift(self, other);
}

template <class Other>
Tensor& left_(Tensor& self, const Other& other) {
  return self.bitwise_left_shift_(other);
}

template <class Other>
Tensor& right_(Tensor& self, const Other& other) {
  return self.bitwise_right_shift_(other);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"__lshift__.Scalar", &left<Scalar>>(m);
  impl<"__lshift__.Tensor", &left<Tensor>>(m);
  impl<"__rshift__.Scalar", &right<Scalar>>(m);
  impl<"__rshift__.Tensor", &right<Tensor>>(m);
  impl<"__ilshift__.Scalar", &left_<Scalar>>(m);
  impl<"__ilshift__.Tensor", &left_<Tensor>>(m);
  impl<"__irshift__.Scalar", &right_<Scalar>>(m);
  impl<"__irshift__.Tensor", &right_<Tensor>>(m);
}

}  // namespace
}  // namespace npu::backend

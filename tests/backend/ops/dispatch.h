// What the tests of torch.ops.npu share: calls through PyTorch's dispatcher, tensors on the device.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

namespace npu::backend::testing {

inline const c10::Device kDevice(c10::kPrivateUse1, 0);

// The operator `npu::name`, of the signature that its schema has.
template <class Signature>
c10::TypedOperatorHandle<Signature> find_op(const char* name, const char* overload = "") {
  const std::string full = std::string("npu::") + name;
  return c10::Dispatcher::singleton().findSchemaOrThrow(full.c_str(), overload).typed<Signature>();
}

inline at::Tensor on_device(const at::Tensor& tensor) { return tensor.to(kDevice); }

// Float32 results against those of the CPU.
inline void expect_close(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.device(), kDevice);
  EXPECT_EQ(actual.sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(actual.cpu().to(at::kDouble), expected.to(at::kDouble), 1e-5, 1e-5));
}

}  // namespace npu::backend::testing

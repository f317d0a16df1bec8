#include "csrc/backend/runtime/tensor.h"

#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "csrc/backend/tensor/empty.h"

namespace npu::backend {
namespace {

const c10::Device kDevice(c10::kPrivateUse1, 0);

TEST(TensorTest, DtypesGoBothWays) {
  for (const auto type :
       {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
        at::kChar, at::kByte, at::kBool, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    EXPECT_EQ(to_scalar_type(to_dtype(type)), type);
  }
  EXPECT_TRUE(has_kernels(at::kBFloat16));
  EXPECT_FALSE(has_kernels(at::kFloat8_e5m2));
  EXPECT_FALSE(has_kernels(at::kComplexFloat));
  EXPECT_EQ(find_dtype(at::kUInt16), std::nullopt);
  EXPECT_THROW(to_dtype(at::kComplexFloat), c10::NotImplementedError);
}

TEST(TensorTest, ViewsKeepOffsetsAndStrides) {
  const at::Tensor tensor = empty({3, 4}, at::kFloat, kDevice);
  const kernels::Tensor view = to_kernel(tensor.t().narrow(0, 1, 2));
  EXPECT_EQ(view.data, static_cast<float*>(tensor.data_ptr()) + 1);
  EXPECT_EQ(view.rank, 2);
  EXPECT_EQ(view.sizes[0], 2);
  EXPECT_EQ(view.strides[0], 1);
  EXPECT_EQ(view.strides[1], 4);
  EXPECT_EQ(view.numel(), 6);
}

TEST(TensorTest, RefusesOtherDevices) {
  EXPECT_THROW(to_kernel(at::empty({2})), c10::Error);
  EXPECT_FALSE(to_kernel(std::optional<at::Tensor>()).defined());
  EXPECT_FALSE(to_kernel(std::optional<at::Tensor>(at::Tensor())).defined());
}

TEST(TensorTest, Scalars) {
  EXPECT_EQ(to_kernel(c10::Scalar(2.5)).real, 2.5);
  EXPECT_EQ(to_kernel(c10::Scalar(int64_t{1} << 60)).integer, int64_t{1} << 60);
  EXPECT_EQ(to_kernel(c10::Scalar(true)).integer, 1);
  EXPECT_THROW(to_kernel(c10::Scalar(c10::complex<double>(1, 2))), c10::NotImplementedError);
}

}  // namespace
}  // namespace npu::backend

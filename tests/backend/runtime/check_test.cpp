#include "csrc/backend/runtime/check.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <string>

namespace npu::backend {
namespace {

TEST(CheckTest, SuccessIsSilent) { EXPECT_NO_THROW(NPU_CHECK(NPU_SUCCESS)); }

TEST(CheckTest, StatusesBecomeTheirExceptions) {
  const auto raise = [](npuStatus status) { NPU_CHECK(status); };
  EXPECT_THROW(raise(NPU_ERROR_OUT_OF_MEMORY), c10::OutOfMemoryError);
  EXPECT_THROW(raise(NPU_ERROR_UNIMPLEMENTED), c10::NotImplementedError);
  EXPECT_THROW(raise(NPU_ERROR_ASSEMBLY), c10::ValueError);
  try {
    raise(NPU_ERROR_OUT_OF_BOUNDS);
    FAIL();
  } catch (const c10::AcceleratorError& error) {
    EXPECT_EQ(error.get_error_code(), NPU_ERROR_OUT_OF_BOUNDS);
  }
}

TEST(CheckTest, CarriesTheSdksText) {
  try {
    NPU_CHECK(npuDeviceSynchronize(1234));
    FAIL();
  } catch (const c10::AcceleratorError& error) {
    EXPECT_NE(std::string(error.what()).find("1234"), std::string::npos) << error.what();
    EXPECT_EQ(error.get_error_code(), NPU_ERROR_INVALID_DEVICE);
  }
}

}  // namespace
}  // namespace npu::backend

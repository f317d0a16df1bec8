#include "csrc/backend/aten/scalar.h"

#include <ATen/Dispatch.h>

namespace npu::backend {

kernels::Scalar in_dtype(const kernels::Scalar& value, c10::ScalarType type) {
  const auto real = static_cast<float>(value.real);
  switch (type) {
    case c10::ScalarType::Half:
      return static_cast<double>(static_cast<float>(c10::Half(real)));
    case c10::ScalarType::BFloat16:
      return static_cast<double>(static_cast<float>(c10::BFloat16(real)));
    case c10::ScalarType::Int:
      return static_cast<int64_t>(static_cast<int32_t>(value.integer));
    case c10::ScalarType::Short:
      return static_cast<int64_t>(static_cast<int16_t>(value.integer));
    case c10::ScalarType::Char:
      return static_cast<int64_t>(static_cast<int8_t>(value.integer));
    case c10::ScalarType::Byte:
      return static_cast<int64_t>(static_cast<uint8_t>(value.integer));
    case c10::ScalarType::Bool:
      return value.real != 0;
    default:
      return value;
  }
}

void check_fits(const c10::Scalar& value, c10::ScalarType type) {
  AT_DISPATCH_ALL_TYPES_AND3(at::kHalf, at::kBFloat16, at::kBool, type, "npu scalar",
                             [&] { value.to<scalar_t>(); });
}

}  // namespace npu::backend

#include "sim/isa/dtype.h"

#include <iterator>

namespace npu::sim {
namespace {

constexpr std::string_view kNames[] = {
#define NPU_SIM_DTYPE_NAME(name, code, bits) #name,
    NPU_SIM_DTYPES(NPU_SIM_DTYPE_NAME)
#undef NPU_SIM_DTYPE_NAME
};
static_assert(std::size(kNames) == kDTypeCount);

}  // namespace

std::string_view name(DType type) {
  const auto code = static_cast<size_t>(type);
  return code < std::size(kNames) ? kNames[code] : "?";
}

std::optional<DType> parse_dtype(std::string_view text) {
  for (size_t code = 0; code < std::size(kNames); ++code) {
    if (kNames[code] == text) return static_cast<DType>(code);
  }
  return std::nullopt;
}

}  // namespace npu::sim

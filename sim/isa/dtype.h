// Element types of tiles and of the HBM side of a DMA.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace npu::sim {

// The codes are part of the instruction format and of the SDK's C API: append only.
// clang-format off
#define NPU_SIM_DTYPES(X) \
  X(f64,    0, 64)        \
  X(f32,    1, 32)        \
  X(f16,    2, 16)        \
  X(bf16,   3, 16)        \
  X(i64,    4, 64)        \
  X(i32,    5, 32)        \
  X(i16,    6, 16)        \
  X(i8,     7, 8)         \
  X(u8,     8, 8)         \
  X(b8,     9, 8)         \
  X(f8e4m3, 10, 8)        \
  X(f8e5m2, 11, 8)        \
  X(i4,     12, 4)
// clang-format on

enum class DType : uint8_t {
#define NPU_SIM_DTYPE_ENUM(name, code, bits) name = code,
  NPU_SIM_DTYPES(NPU_SIM_DTYPE_ENUM)
#undef NPU_SIM_DTYPE_ENUM
};

inline constexpr int kDTypeCount = 13;

constexpr int bits(DType type) {
  switch (type) {
#define NPU_SIM_DTYPE_BITS(name, code, width) \
  case DType::name:                           \
    return width;
    NPU_SIM_DTYPES(NPU_SIM_DTYPE_BITS)
#undef NPU_SIM_DTYPE_BITS
  }
  return 0;
}

// Bytes of one element. Packed 4-bit types have no element size of their own: 0.
constexpr int size_of(DType type) { return bits(type) / 8; }

constexpr bool is_float(DType type) {
  return type <= DType::bf16 || type == DType::f8e4m3 || type == DType::f8e5m2;
}

// fp8 and packed int4 have codes but no engine implements them yet.
constexpr bool is_implemented(DType type) { return type <= DType::b8; }

std::string_view name(DType type);
std::optional<DType> parse_dtype(std::string_view text);

}  // namespace npu::sim

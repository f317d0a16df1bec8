// Tiles over vectors, for tests of engines alone.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "sim/engine/elementwise.h"

namespace npu::sim {

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::i32;
  if constexpr (std::is_same_v<T, int16_t>) return DType::i16;
  if constexpr (std::is_same_v<T, int8_t>) return DType::i8;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::u8;
}

// A packed tile over the vector's elements.
template <class T>
Tile tile_of(std::vector<T>& data, int64_t rows, int64_t cols, DType dtype = dtype_of<T>()) {
  return {reinterpret_cast<std::byte*>(data.data()), cols, rows, cols, dtype};
}

// Values as a tile of this type stores them, and what they are after that rounding.
struct TypedTile {
  std::vector<std::byte> bytes;
  std::vector<double> values;
  Tile tile;
};

inline TypedTile typed_tile(DType dtype, int64_t rows, int64_t cols, std::vector<double> values) {
  TypedTile made;
  made.bytes.resize(static_cast<size_t>(rows * cols * size_of(dtype)));
  made.tile = {made.bytes.data(), cols, rows, cols, dtype};
  store_as(vector_table(), dtype, made.bytes.data(), values.data(), rows * cols);
  made.values.resize(values.size());
  load_as(vector_table(), made.values.data(), dtype, made.bytes.data(), rows * cols);
  return made;
}

inline std::vector<double> values_of(const Tile& tile) {
  std::vector<double> values(static_cast<size_t>(tile.elements()));
  for (int64_t r = 0; r < tile.rows; ++r) {
    load_as(vector_table(), values.data() + r * tile.cols, tile.dtype, tile.row(r), tile.cols);
  }
  return values;
}

inline VectorOperand operand_of(const Tile& tile, int link = -1) {
  VectorOperand made;
  made.is_tile = true;
  made.link = static_cast<int8_t>(link);
  made.tile = tile;
  return made;
}

inline VectorOperand scalar(double value) {
  VectorOperand made;
  made.real = true;
  made.value = std::bit_cast<int64_t>(value);
  return made;
}

// Bit for bit, but for what a NaN carries.
inline void expect_same(const Tile& got, const Tile& wanted, const std::string& what) {
  const std::vector<double> a = values_of(got);
  const std::vector<double> b = values_of(wanted);
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    ASSERT_EQ(std::bit_cast<uint64_t>(a[i]), std::bit_cast<uint64_t>(b[i]))
        << what << ", element " << i << ": " << a[i] << " and " << b[i];
  }
}

}  // namespace npu::sim

#include "sim/engine/rearrange.h"

#include <fmt/format.h>

#include <cstring>

#include "sim/engine/strided.h"
#include "sim/error.h"

namespace npu::sim {
namespace {

void copy_2d(std::byte* dst, int64_t dst_row, int64_t dst_col, const std::byte* src,
             int64_t src_row, int64_t src_col, int64_t rows, int64_t cols, DType type) {
  const int64_t element = size_of(type);
  StridedShape shape;
  shape.add(rows, dst_row * element, src_row * element);
  shape.add(cols, dst_col * element, src_col * element);
  copy_strided(shape, static_cast<int>(element), dst, src);
}

template <class T>
void gather_row(std::byte* out, const std::byte* in, const int64_t* index, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(out + i * static_cast<int64_t>(sizeof(T)),
                in + index[i] * static_cast<int64_t>(sizeof(T)), sizeof(T));
  }
}

}  // namespace

void encode(const VectorTable& table, DType type, int64_t value, std::byte* out) {
  if (is_float(type)) {
    const auto real = std::bit_cast<double>(value);
    store_as(table, type, out, &real, 1);
  } else {
    store_as(table, type, out, &value, 1);
  }
}

void fill(EngineContext& context, const Tile& dst, int64_t value) {
  std::byte element[8];
  encode(context.table, dst.dtype, value, element);
  copy_2d(dst.data, dst.ld, 1, element, 0, 0, dst.rows, dst.cols, dst.dtype);
}

void iota(EngineContext& context, const Tile& dst, int64_t start, int64_t column_step,
          int64_t row_step) {
  const auto make = [&]<class T>(T first, T across, T down) {
    T* row = context.scratch.get<T>(Scratch::kDestination, dst.cols);
    for (int64_t r = 0; r < dst.rows; ++r) {
      const T begin = first + static_cast<T>(r) * down;
      for (int64_t c = 0; c < dst.cols; ++c) row[c] = begin + static_cast<T>(c) * across;
      if constexpr (std::is_same_v<T, uint64_t>) {
        store_as(context.table, dst.dtype, dst.row(r), reinterpret_cast<const int64_t*>(row),
                 dst.cols);
      } else {
        store_as(context.table, dst.dtype, dst.row(r), row, dst.cols);
      }
    }
  };
  if (is_float(dst.dtype)) {
    make(std::bit_cast<double>(start), std::bit_cast<double>(column_step),
         std::bit_cast<double>(row_step));
  } else {
    make(static_cast<uint64_t>(start), static_cast<uint64_t>(column_step),
         static_cast<uint64_t>(row_step));
  }
}

void expand(const Tile& dst, const Tile& src) {
  copy_2d(dst.data, dst.ld, 1, src.data, src.rows == 1 ? 0 : src.ld, src.cols == 1 ? 0 : 1,
          dst.rows, dst.cols, dst.dtype);
}

void transpose(const Tile& dst, const Tile& src) {
  copy_2d(dst.data, dst.ld, 1, src.data, 1, src.ld, dst.rows, dst.cols, dst.dtype);
}

void slice(const Tile& dst, const Tile& src, int64_t row, int64_t col) {
  copy_2d(dst.data, dst.ld, 1, src.row(row) + col * size_of(src.dtype), src.ld, 1, dst.rows,
          dst.cols, dst.dtype);
}

void insert(const Tile& dst, const Tile& src, int64_t row, int64_t col) {
  copy_2d(dst.row(row) + col * size_of(dst.dtype), dst.ld, 1, src.data, src.ld, 1, src.rows,
          src.cols, dst.dtype);
}

void copy_tile(const Tile& dst, const Tile& src) {
  copy_2d(dst.data, dst.ld, 1, src.data, src.ld, 1, dst.rows, dst.cols, dst.dtype);
}

void gather_columns(EngineContext& context, const Tile& dst, const Tile& src, const Tile& index) {
  int64_t* buffer = context.scratch.get<int64_t>(Scratch::kIndex, index.cols);
  for (int64_t r = 0; r < dst.rows; ++r) {
    const int64_t* columns = row_as(context.table, index, r, buffer);
    for (int64_t c = 0; c < index.cols; ++c) {
      if (columns[c] < 0 || columns[c] >= src.cols) {
        throw MachineError(ErrorKind::kOutOfBounds,
                           fmt::format("index {} at [{}, {}] is outside the {} columns", columns[c],
                                       r, c, src.cols));
      }
    }
    switch (size_of(dst.dtype)) {
      case 1:
        gather_row<uint8_t>(dst.row(r), src.row(r), columns, dst.cols);
        break;
      case 2:
        gather_row<uint16_t>(dst.row(r), src.row(r), columns, dst.cols);
        break;
      case 4:
        gather_row<uint32_t>(dst.row(r), src.row(r), columns, dst.cols);
        break;
      default:
        gather_row<uint64_t>(dst.row(r), src.row(r), columns, dst.cols);
    }
  }
}

}  // namespace npu::sim

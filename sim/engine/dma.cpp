#include "sim/engine/dma.h"

#include <fmt/format.h>

#include <cstring>

#include "sim/engine/chain.h"
#include "sim/engine/rearrange.h"
#include "sim/engine/strided.h"
#include "sim/error.h"

namespace npu::sim {
namespace {

// Both sides of the transfer in one shape. The tile's rows must be those of the transfer.
StridedShape pair_with(const Transfer& transfer, const Tile& tile, bool memory_is_dst) {
  const int64_t element = size_of(tile.dtype);
  std::array<int64_t, kMaxDims> tile_stride;
  int64_t stride = element;
  for (int i = transfer.dims - 1; i >= 0; --i) {
    if (i == transfer.row_dims - 1) stride = tile.ld * element;
    tile_stride[i] = stride;
    stride *= transfer.size[i];
  }
  StridedShape shape;
  for (int i = 0; i < transfer.dims; ++i) {
    if (memory_is_dst) {
      shape.add(transfer.size[i], transfer.stride[i], tile_stride[i]);
    } else {
      shape.add(transfer.size[i], tile_stride[i], transfer.stride[i]);
    }
  }
  return shape;
}

int64_t columns_of(const Transfer& transfer) {
  int64_t columns = 1;
  for (int i = transfer.row_dims; i < transfer.dims; ++i) columns *= transfer.size[i];
  return columns;
}

// The tile reshaped so that its columns are the transfer's; packed first where rows do not match.
Tile fit(EngineContext& context, const Transfer& transfer, const Tile& tile) {
  Tile fitting = tile;
  fitting.cols = columns_of(transfer);
  if (fitting.cols == tile.cols) return fitting;
  if (!tile.packed()) {
    fitting.data =
        context.scratch.get<std::byte>(Scratch::kSource0, tile.elements() * size_of(tile.dtype));
    Tile packed = tile;
    packed.data = fitting.data;
    packed.ld = tile.cols;
    copy_tile(packed, tile);
  }
  fitting.rows = fitting.cols == 0 ? 0 : tile.elements() / fitting.cols;
  fitting.ld = fitting.cols;
  return fitting;
}

// memory[...] += tile[...] in row-major order, one element after the other, since elements may
// share an address.
void add_elements(EngineContext& context, DType dtype, const StridedShape& shape, int dim,
                  std::byte* memory, const std::byte* tile) {
  const int64_t element = size_of(dtype);
  const auto add_line = [&](int64_t count) {
    const auto line = [&](std::byte* data) { return Tile{data, count, 1, count, dtype}; };
    VectorOperand sum;
    sum.is_tile = true;
    sum.tile = line(memory);
    VectorOperand term = sum;
    term.tile.data = const_cast<std::byte*>(tile);
    elementwise(context, Opcode::v_binary, static_cast<uint8_t>(BinaryFn::add), line(memory),
                {sum, term, {}});
  };
  if (dim == shape.dims) return add_line(1);
  if (dim == shape.dims - 1 && shape.dst_stride[dim] == element &&
      shape.src_stride[dim] == element) {
    return add_line(shape.size[dim]);
  }
  for (int64_t i = 0; i < shape.size[dim]; ++i) {
    add_elements(context, dtype, shape, dim + 1, memory + i * shape.dst_stride[dim],
                 tile + i * shape.src_stride[dim]);
  }
}

void add_all(EngineContext& context, DType dtype, StridedShape shape, std::byte* memory,
             const std::byte* tile) {
  if (normalize(shape)) add_elements(context, dtype, shape, 0, memory, tile);
}

// First and one past the last byte of one row, relative to its start.
struct Extent {
  int64_t lower;
  int64_t upper;
};

Extent extent_of(const Transfer& transfer, int64_t element) {
  Extent extent{0, element};
  for (int i = 0; i < transfer.dims; ++i) {
    const int64_t reach = transfer.stride[i] * (transfer.size[i] - 1);
    (reach < 0 ? extent.lower : extent.upper) += reach;
  }
  return extent;
}

// Calls f(r, memory of row r), or skip(r) where the index masks it.
template <class F, class Skip>
void for_each_row(EngineContext& context, const IndexedTransfer& transfer, const Tile& index,
                  int64_t element, F&& f, Skip&& skip) {
  const Extent extent = extent_of(transfer.row, element);
  int64_t* buffer = context.scratch.get<int64_t>(Scratch::kIndex, index.cols);
  for (int64_t i = 0; i < index.rows; ++i) {
    const int64_t* numbers = row_as(context.table, index, i, buffer);
    for (int64_t j = 0; j < index.cols; ++j) {
      const int64_t r = i * index.cols + j;
      const int64_t number = numbers[j];
      if (transfer.masked && number < 0) {
        skip(r);
        continue;
      }
      const __int128 offset = static_cast<__int128>(number) * transfer.index_stride;
      if (number < 0 || offset + extent.lower < transfer.lower ||
          offset + extent.upper > transfer.upper) {
        throw MachineError(
            ErrorKind::kOutOfBounds,
            fmt::format("index {} (number {} of the index tile) leads outside the allocation, "
                        "which covers bytes [{}, {}) around the row of index 0",
                        number, r, transfer.lower, transfer.upper));
      }
      f(r, transfer.row.memory + static_cast<int64_t>(offset));
    }
  }
}

template <class T>
void copy_element(std::byte* dst, const std::byte* src) {
  std::memcpy(dst, src, sizeof(T));
}

using CopyElement = void (*)(std::byte*, const std::byte*);
CopyElement element_copier(int64_t bytes) {
  switch (bytes) {
    case 1:
      return copy_element<uint8_t>;
    case 2:
      return copy_element<uint16_t>;
    case 4:
      return copy_element<uint32_t>;
    default:
      return copy_element<uint64_t>;
  }
}

bool is_contiguous(StridedShape shape, int64_t element) {
  return normalize(shape) &&
         (shape.dims == 0 ||
          (shape.dims == 1 && shape.dst_stride[0] == element && shape.src_stride[0] == element));
}

// How one row of a gather or scatter is copied: by the simplest means that fits all of them.
template <class Copy>
void with_row_copy(const StridedShape& shape, int64_t element, int64_t columns, Copy&& copy) {
  if (columns == 0) return;
  if (columns == 1) {
    copy(element_copier(element));
  } else if (is_contiguous(shape, element)) {
    copy([bytes = static_cast<size_t>(columns * element)](std::byte* dst, const std::byte* src) {
      std::memcpy(dst, src, bytes);
    });
  } else {
    copy([&](std::byte* dst, const std::byte* src) {
      copy_strided(shape, static_cast<int>(element), dst, src);
    });
  }
}

}  // namespace

std::optional<Tile> alias(const Transfer& transfer, DType dtype) {
  const int64_t element = size_of(dtype);
  if (reinterpret_cast<uintptr_t>(transfer.memory) % static_cast<uintptr_t>(element) != 0) {
    return std::nullopt;
  }
  Tile tile{transfer.memory, 0, 1, 1, dtype};
  int64_t expected = element;
  for (int i = transfer.dims - 1; i >= transfer.row_dims; --i) {
    if (transfer.size[i] == 1) continue;
    if (transfer.stride[i] != expected) return std::nullopt;
    expected *= transfer.size[i];
    tile.cols *= transfer.size[i];
  }
  for (int i = transfer.row_dims - 1; i >= 0; --i) {
    if (transfer.size[i] == 1) continue;
    if (tile.rows == 1) {
      expected = transfer.stride[i];
      tile.ld = expected / element;
    } else if (transfer.stride[i] != expected) {
      return std::nullopt;
    }
    expected *= transfer.size[i];
    tile.rows *= transfer.size[i];
  }
  if (tile.rows == 1) tile.ld = tile.cols;
  // Micro-kernels take rows in memory order that do not overlap.
  if (tile.ld < tile.cols) return std::nullopt;
  return tile;
}

void load(const Transfer& transfer, const Tile& dst) {
  if (dst.elements() == 0) return;
  copy_strided(pair_with(transfer, dst, false), size_of(dst.dtype), dst.data, transfer.memory);
}

void store(EngineContext& context, const Transfer& transfer, const Tile& src, bool add,
           bool stream) {
  if (src.elements() == 0) return;
  const Tile fitting = fit(context, transfer, src);
  const StridedShape shape = pair_with(transfer, fitting, true);
  if (add) {
    add_all(context, src.dtype, shape, transfer.memory, fitting.data);
  } else {
    copy_strided(shape, size_of(src.dtype), transfer.memory, fitting.data, stream);
  }
}

void fill_memory(EngineContext& context, const Transfer& transfer, DType dtype, int64_t value) {
  std::byte element[8];
  encode(context.table, dtype, value, element);
  StridedShape shape;
  for (int i = 0; i < transfer.dims; ++i) shape.add(transfer.size[i], transfer.stride[i], 0);
  if (!normalize(shape)) return;
  const int64_t bytes = size_of(dtype);
  const bool zero =
      std::all_of(element, element + bytes, [](std::byte b) { return b == std::byte{0}; });
  if (zero && shape.dims == 1 && shape.dst_stride[0] == bytes) {
    std::memset(transfer.memory, 0, static_cast<size_t>(shape.size[0] * bytes));
    return;
  }
  copy_strided(shape, static_cast<int>(bytes), transfer.memory, element);
}

void gather(EngineContext& context, const IndexedTransfer& transfer, const Tile& dst,
            const Tile& index) {
  const int64_t element = size_of(dst.dtype);
  const int64_t columns = columns_of(transfer.row);
  const int64_t row_bytes = columns * element;
  Tile row = dst;
  row.ld = columns;
  const StridedShape shape = pair_with(transfer.row, row, false);
  with_row_copy(shape, element, columns, [&](auto&& copy) {
    for_each_row(
        context, transfer, index, element,
        [&](int64_t r, const std::byte* memory) { copy(dst.data + r * row_bytes, memory); },
        [&](int64_t r) {
          std::memset(dst.data + r * row_bytes, 0, static_cast<size_t>(row_bytes));
        });
  });
}

void scatter(EngineContext& context, const IndexedTransfer& transfer, const Tile& src,
             const Tile& index, bool add) {
  const int64_t element = size_of(src.dtype);
  const int64_t columns = columns_of(transfer.row);
  const Tile fitting = fit(context, transfer.row, src);
  const int64_t row_bytes = fitting.ld * element;
  const StridedShape shape = pair_with(transfer.row, fitting, true);
  const auto skip = [](int64_t) {};
  if (add) {
    if (columns == 0) return;
    for_each_row(
        context, transfer, index, element,
        [&](int64_t r, std::byte* memory) {
          add_all(context, src.dtype, shape, memory, fitting.data + r * row_bytes);
        },
        skip);
    return;
  }
  with_row_copy(shape, element, columns, [&](auto&& copy) {
    for_each_row(
        context, transfer, index, element,
        [&](int64_t r, std::byte* memory) { copy(memory, fitting.data + r * row_bytes); }, skip);
  });
}

}  // namespace npu::sim

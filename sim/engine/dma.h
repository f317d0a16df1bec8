// Transfers between tiles and device memory. What they touch has been checked before, except where
// indices say so.
#pragma once

#include <array>
#include <optional>

#include "sim/engine/tile.h"
#include "sim/isa/program.h"

namespace npu::sim {

// The memory's side of a transfer: the first `row_dims` of `dims` dimensions make the tile's rows,
// the others its columns.
struct Transfer {
  std::byte* memory = nullptr;  // of the element with all indices zero
  int dims = 0;
  int row_dims = 0;
  std::array<int64_t, kMaxDims> size = {};    // elements
  std::array<int64_t, kMaxDims> stride = {};  // bytes
};

// The memory itself as a tile of the transfer's shape, if its columns are contiguous and its rows
// evenly spaced.
std::optional<Tile> alias(const Transfer& transfer, DType dtype);

void load(const Transfer& transfer, const Tile& dst);

// A tile whose elements, in row-major order, are the transfer's. `add` accumulates in element order
// with one rounding for each addition. `stream`: see copy_strided.
void store(EngineContext& context, const Transfer& transfer, const Tile& src, bool add,
           bool stream = false);

// `value` as `encode` has it.
void fill_memory(EngineContext& context, const Transfer& transfer, DType dtype, int64_t value);

// Row r of the tile is at memory + index[r] * index_stride; all dimensions are columns. The bytes
// touched must lie in [lower, upper) relative to memory, and with `masked` a negative index
// transfers nothing (a gather reads zeros); else MachineError (kOutOfBounds).
struct IndexedTransfer {
  Transfer row;
  int64_t index_stride = 0;  // bytes
  int64_t lower = 0;
  int64_t upper = 0;
  bool masked = false;
};
void gather(EngineContext& context, const IndexedTransfer& transfer, const Tile& dst,
            const Tile& index);
void scatter(EngineContext& context, const IndexedTransfer& transfer, const Tile& src,
             const Tile& index, bool add);

}  // namespace npu::sim

// The vector engine's instructions that make or move elements without arithmetic on them.
#pragma once

#include "sim/engine/tile.h"

namespace npu::sim {

// Destinations are packed except for insert's, and do not overlap sources. Shapes have been
// checked by the cursor.

// Every element is `value`: the bits of a double for floating types, else an integer.
void fill(EngineContext& context, const Tile& dst, int64_t value);

// One element of `type` in `out` (8 bytes) from such a value.
void encode(const VectorTable& table, DType type, int64_t value, std::byte* out);

// dst[r, c] = start + c * column_step + r * row_step; doubles' bits for floating types.
void iota(EngineContext& context, const Tile& dst, int64_t start, int64_t column_step,
          int64_t row_step);

void expand(const Tile& dst, const Tile& src);
void transpose(const Tile& dst, const Tile& src);
void slice(const Tile& dst, const Tile& src, int64_t row, int64_t col);
void insert(const Tile& dst, const Tile& src, int64_t row, int64_t col);
void copy_tile(const Tile& dst, const Tile& src);  // same shape

// dst[r, c] = src[r, index[r, c]]. Throws MachineError (kOutOfBounds).
void gather_columns(EngineContext& context, const Tile& dst, const Tile& src, const Tile& index);

}  // namespace npu::sim

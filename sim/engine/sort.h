// The vector engine's sort.
#pragma once

#include "sim/engine/tile.h"

namespace npu::sim {

// Sorts each row of `keys` stably into `sorted` and moves the row of `payload` along into
// `permuted`. NaN counts as the largest value, -0 and +0 as equal. Shapes are the same; key types
// are the same, payload types too. Destinations may be the sources.
void sort_rows(EngineContext& context, bool descending, const Tile& sorted, const Tile& permuted,
               const Tile& keys, const Tile& payload);

}  // namespace npu::sim

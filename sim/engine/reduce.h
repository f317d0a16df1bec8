// The vector engine's reductions and scans.
#pragma once

#include "sim/engine/tile.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

// Over columns: dst is [R, 1]; over rows (`rows`): dst is [1, C]. Computed in f64, f32 or i64 as
// source and destination ask; any, all, argmax and argmin go by the source alone. The order of
// additions depends on the shape alone. max and min propagate NaN; argmax and argmin give the
// first index of the extreme, where NaN is the most extreme. An empty reduction gives the
// function's neutral element; argmax and argmin of nothing are an error (MachineError, kShape).
// dst must not overlap src.
void reduce(EngineContext& context, ReduceFn fn, bool rows, const Tile& dst, const Tile& src);

// dst[r, c] = fn over src[r, 0..c]. Sums and products of f32 accumulate in f64. dst may be src.
void scan(EngineContext& context, ScanFn fn, const Tile& dst, const Tile& src);

}  // namespace npu::sim

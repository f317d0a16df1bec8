// Closed forms: how many cycles an instruction of the matrix or vector engine keeps it busy, and
// when its result is ready. docs/timing.md derives them.
#pragma once

#include <cstdint>

#include "sim/arch/machine.h"
#include "sim/exec/cursor.h"

namespace npu::sim {

struct Duration {
  uint64_t occupancy = 0;  // the engine takes its next instruction after this many cycles
  uint64_t sources = 0;    // the sources have been read, and may be overwritten, after this many
  uint64_t latency = 0;    // the result can be read after this many (>= occupancy)
  bool operator==(const Duration&) const = default;
};

// [m, k] x [k, n] on a weight-stationary array of R rows and C columns. Each of the
// tiles = ceil(k/R) * ceil(n/C) weight tiles streams s = ceil(m / rate) rows' worth of cycles.
//
// Without preload, each tile loads (R), streams (s) and drains (R + C - 2) before the next starts:
//   occupancy = latency = tiles * (2R + C + s - 2) - 1
// which SCALE-Sim reproduces to the cycle. With preload, the next weights load behind the current
// stream, also those of the next instruction, and fill and drain are latency that is paid once.
// With L = ceil(R / load_rows) cycles to load a tile and S = swap_cycles from the end of a stream
// to the next one's start:
//   occupancy = tiles * max(s + S, L)
//   latency   = L + (tiles - 1) * max(s + S, L) + s + R + C - 3, at least the occupancy
// Both forms count from the first cycle of the first load to the cycle in which the last result
// leaves, so that they agree for one tile (L = R, S = 0). An empty product takes one cycle.
Duration matrix_duration(const Machine& machine, DType type, int64_t m, int64_t k, int64_t n);

// Multiply-accumulates that the array's cells did for it, padding included.
uint64_t matrix_cell_macs(const Machine& machine, int64_t m, int64_t k, int64_t n);

// Passes of the instruction's elements through the lanes; lanes scale with the widest operand.
Duration vector_duration(const Prepared& prepared, const Step& step);

}  // namespace npu::sim

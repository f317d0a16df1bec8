// Closed forms: how many cycles one instruction keeps its engine busy, and when its result is ready.
#pragma once

#include <cstdint>

#include "sim/arch/machine.h"
#include "sim/exec/cursor.h"

namespace npu::sim {

struct Duration {
  uint64_t occupancy = 0;  // the engine takes its next instruction after this many cycles
  uint64_t latency = 0;    // the result can be read after this many (>= occupancy)
};

// [m, k] x [k, n] on a weight-stationary array of R rows and C columns. Each of the
// ceil(k/R) * ceil(n/C) weight tiles streams m rows. Without preload this is the plain form
// tiles * (2R + C + m - 2) - 1 (docs/timing.md, which SCALE-Sim reproduces to the cycle); with
// preload the next weights load (R cycles) behind the current stream, and fill and drain are paid
// once: R + (tiles - 1) * max(m, R) + m + R + C - 2.
Duration matrix_duration(const Machine& machine, DType type, int64_t m, int64_t k, int64_t n);

// Multiply-accumulates that the array's cells did for it, padding included.
uint64_t matrix_cell_macs(const Machine& machine, int64_t m, int64_t k, int64_t n);

Duration vector_duration(const Prepared& prepared, const Step& step);

// What a DMA asks of the core's queue and of the memory.
struct DmaCost {
  uint64_t queue_cycles = 0;  // setup + bytes through the queue, runs rounded up to bursts
  int64_t memory_bytes = 0;   // runs rounded up to bursts
};
DmaCost dma_cost(const Prepared& prepared, const Step& step);

}  // namespace npu::sim

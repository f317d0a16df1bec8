// Which tiles a matrix product runs in: a search over a cost model of the machine.
#pragma once

#include <cstdint>

#include "sim/arch/machine.h"

namespace npu::kernels {

// What the choice depends on.
struct MatmulProblem {
  int64_t batch = 1;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  sim::DType type = sim::DType::f32;  // of a and b
  int element_bytes = 4;              // of a and b
  int accumulator_bytes = 4;
  int out_bytes = 4;       // of an element in HBM
  int epilogue_bytes = 0;  // scratchpad an output element needs beside its accumulator
  bool operator==(const MatmulProblem&) const = default;
};

struct MatmulTiling {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int load_buffers = 2;
  int accumulators = 1;
};

// Remembered for each machine and problem.
MatmulTiling choose_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem);

}  // namespace npu::kernels

// The program family of matrix products.
#pragma once

#include "csrc/sdk/kernels/formula.h"
#include "csrc/sdk/kernels/matmul_tiling.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "npu/kernels/matmul.h"

namespace npu::kernels {

// What distinguishes one program from another, tile sizes apart.
struct MatmulForm {
  enum class Bias : uint8_t { none, row, column, full };  // row: one for all rows, [1, n]

  DType type = DType::f32;  // of a and b
  DType out_type = DType::f32;
  DType bias_type = DType::f32;
  bool transpose_a = false;  // memory walks m: a is loaded as [k, m]
  bool transpose_b = false;  // memory walks k: b is loaded as [n, k]
  bool scaled = false;       // alpha or beta is not 1
  Bias bias = Bias::none;
  Activation activation = Activation::none;

  DType accumulator() const;
  bool has_epilogue() const;
  // Inputs: accumulator and bias; scalars: alpha and beta, where scaled.
  Formula epilogue() const;
  int epilogue_bytes() const;
  MatmulProblem problem(int64_t batch, int64_t m, int64_t n, int64_t k) const;
  sdk::KernelKey key(const MatmulTiling& tiling) const;
};

sim::Program build_matmul(const sim::Machine& machine, const MatmulForm& form,
                          const MatmulTiling& tiling);
int64_t matmul_grid(const MatmulProblem& problem, const MatmulTiling& tiling);

}  // namespace npu::kernels

// The program family of matrix products.
#pragma once

#include "csrc/sdk/kernels/formula.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "npu/kernels/matmul.h"

namespace npu::kernels {

struct MatmulProblem;

// Of a matrix with such strides and so many columns: is a row what memory walks?
inline bool row_major(int64_t row_stride, int64_t col_stride, int64_t cols) {
  return col_stride == 1 || cols == 1 || row_stride != 1;
}

// What distinguishes one program from another, tile sizes apart.
struct MatmulForm {
  enum class Bias : uint8_t { none, row, column, full };  // row: one for all rows, [1, n]
  // What groups of different lengths, whose ends a tensor holds, divide: rows of a, or k.
  enum class Groups : uint8_t { none, rows, depth };

  DType type = DType::f32;  // of a and b
  DType out_type = DType::f32;
  DType bias_type = DType::f32;
  bool transpose_a = false;  // memory walks m: a is loaded as [k, m]
  bool transpose_b = false;  // memory walks k: b is loaded as [n, k]
  bool scaled = false;       // alpha or beta is not 1
  Bias bias = Bias::none;
  Activation activation = Activation::none;
  Groups groups = Groups::none;
  DType ends_type = DType::i32;
  // Of grouped rows: index tensors say which rows of a and of the result they are, and each result
  // row has a factor.
  bool gathers = false;
  DType gather_type = DType::i64;
  bool scatters = false;
  DType scatter_type = DType::i64;
  bool scales_rows = false;
  bool walks_groups = false;  // a program takes the same columns of all groups of rows
  bool operator==(const MatmulForm&) const = default;

  DType accumulator() const;
  bool has_epilogue() const;
  // Results are the accumulators as they are.
  bool stores_accumulator() const;
  // Inputs: accumulator, and bias or rows' factors; scalars: alpha and beta, where scaled.
  Formula epilogue() const;
  // The form of the products that are summed up afterwards where k is split: partial sums in the
  // accumulator's type.
  MatmulForm partial() const;
  // The form of a batch of products instead of groups.
  MatmulForm ungrouped() const;
  MatmulProblem problem(int64_t batch, int64_t m, int64_t n, int64_t k) const;
  // The form in two numbers, for keys.
  std::array<int64_t, 2> code() const;
};

struct MatmulProblem {
  MatmulForm form;
  int64_t batch = 1;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool operator==(const MatmulProblem&) const = default;
};

// A program computes m x n outputs, `chunk` columns at a time, and loads operands k deep.
struct MatmulTiling {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t chunk = 0;     // columns of n with an accumulator of their own; the last may have fewer
  int load_buffers = 2;  // of each operand
  int accumulators = 1;  // of each chunk
  // Parts of k with programs of their own, whose partial sums a second launch adds up in order.
  int splits = 1;
  // Programs of a cluster compute neighbouring tiles: those in a row share the loads of a, those in
  // a column the loads of b.
  int cluster_rows = 1;
  int cluster_cols = 1;
  bool operator==(const MatmulTiling&) const = default;

  int cluster() const { return cluster_rows * cluster_cols; }
  int chunks() const { return static_cast<int>((n + chunk - 1) / chunk); }
};

// Bytes of scratchpad beside the operands.
struct MatmulFootprint {
  int accumulator = 0;  // an output element's
  int result = 0;       // what its epilogue takes
  int next_result = 0;  // where chunks take turns
  int row = 0;          // for each row of a tile
  int row_buffers = 0;  // in how many buffers, a bias's apart
  int column = 0;       // for each column of a chunk
};
MatmulFootprint matmul_footprint(const MatmulForm& form);
inline constexpr int kBiasBuffers = 2;
inline constexpr int kPartialBuffers = 8;
inline constexpr int kIndexBuffers = 2;

// The most chunks that a tiling may have: each has tiles and registers of its own.
inline constexpr int kMostChunks = 8;

sdk::KernelKey matmul_key(const MatmulForm& form, const MatmulTiling& tiling);
// Pointers out, a, b [, bias]; integers m, n, k, then batch, row and column strides of each; with
// splits the integers of matmul_split_arguments; then alpha and beta where scaled.
sim::Program build_matmul(const sim::Machine& machine, const MatmulForm& form,
                          const MatmulTiling& tiling);
// Of a form with groups.
sim::Program build_grouped_matmul(const sim::Machine& machine, const MatmulForm& form,
                                  const MatmulTiling& tiling);
int64_t matmul_grid(const MatmulProblem& problem, const MatmulTiling& tiling);
// How much of k a program of the tiling does: whole depths of the array, so that where the parts
// begin depends on k, the machine and their number alone.
int64_t matmul_split_length(const sim::Machine& machine, int64_t k, int splits);

// What adds up `splits` partial sums [splits, batch * m, n] and applies the epilogue. Pointers out,
// partial sums [, bias]; integers splits, rows (batch * m), m, n, columns of a program, then batch,
// row and column strides of out [and bias]; then alpha and beta where scaled.
sim::Program build_matmul_combine(const sim::Machine& machine, const MatmulForm& form);
sdk::KernelKey matmul_combine_key(const MatmulForm& form);
int64_t matmul_combine_columns(const sim::Machine& machine, const MatmulProblem& problem,
                               int splits);

}  // namespace npu::kernels

// Operands of matrix products as the kernels read them.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>

#include "sim/engine/tile.h"

namespace npu::sim {

// Rows of a and of the result that a kernel is called for: they stay in the L2 cache.
inline constexpr int64_t kBlockRows = 128;

struct Problem {
  int64_t m, n, k;
  bool transpose_a, transpose_b, accumulate;
};

template <class T>
struct Matrix {
  const T* data;
  int64_t ld;
};

// The tile as a row-major [rows, cols] matrix of its own type, transposed into scratch if need be.
template <class T>
Matrix<T> plain(EngineContext& context, Scratch::Piece piece, const Matrix<T>& stored,
                bool transposed, int64_t rows, int64_t cols) {
  if (!transposed) return stored;
  T* out = context.scratch.get<T>(piece, rows * cols);
  constexpr int kCode = std::countr_zero(sizeof(T));
  context.table.transpose[kCode](out, cols, stored.data, stored.ld, cols, rows);
  return {out, cols};
}

template <class T>
Matrix<T> stored_in(const Tile& tile) {
  return {reinterpret_cast<const T*>(tile.data), tile.ld};
}

// Part of a stored operand: `row` and `col` count in the product, not in memory.
template <class T>
Matrix<T> part(const Matrix<T>& stored, bool transposed, int64_t row, int64_t col) {
  if (transposed) std::swap(row, col);
  return {stored.data + row * stored.ld + col, stored.ld};
}

// [k, n] of b in `out`, rows next to each other.
void pack_rows(const Matrix<float>& b, int64_t k, int64_t n, float* out);

// b as [k / 2, n, 2] in `out`, k rounded up with zeros.
void pack_pairs(EngineContext& context, const Problem& problem, const Matrix<uint16_t>& b,
                uint16_t* out);

// a as [m, k], k rounded up to even with zeros, rows an even number of elements apart.
Matrix<uint16_t> pad_to_pairs(EngineContext& context, const Problem& problem,
                              const Matrix<uint16_t>& a);

}  // namespace npu::sim

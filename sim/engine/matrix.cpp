#include "sim/engine/matrix.h"

#include <cstring>

#include "sim/engine/gemm_kernels.h"
#include "sim/engine/matrix_operands.h"

namespace npu::sim {
namespace {

// Up to this many rows of a, products with a transposed b read b's rows where they lie: packing
// would cost more than it saves.
constexpr int64_t kDotRows = 16;

// The tile's elements as T, packed.
template <class T>
Matrix<T> converted(EngineContext& context, Scratch::Piece piece, const Tile& tile) {
  T* out = context.scratch.get<T>(piece, tile.elements());
  for (int64_t r = 0; r < tile.rows; ++r) {
    load_as(context.table, out + r * tile.cols, tile.dtype, tile.row(r), tile.cols);
  }
  return {out, tile.cols};
}

// For hosts and sizes that LIBXSMM has no kernel for: rows of b scaled and added.
template <class T>
void multiply_rows(const VectorTable& table, const GemmShape& shape, bool transpose_a, T* c,
                   const T* a, const T* b) {
  const auto fma = ComputeTraits<T>::elementwise(table).ternary[static_cast<int>(TernaryFn::fma)];
  for (int64_t i = 0; i < shape.m; ++i) {
    T* out = c + i * shape.ldc;
    if (!shape.accumulate) std::fill_n(out, shape.n, T(0));
    for (int64_t p = 0; p < shape.k; ++p) {
      const T* factor = transpose_a ? a + p * shape.lda + i : a + i * shape.lda + p;
      fma(out, {factor, true}, {b + p * shape.ldb, false}, {out, false}, shape.n);
    }
  }
}

// What the L2 cache holds of a, b and c while b's part is used for all rows of a. Depths are even.
constexpr int64_t kBlockCols = 256;
constexpr int64_t kBlockDepth = 512;

template <class T>
void multiply_floats(EngineContext& context, const Problem& problem, T* c, int64_t ldc,
                     const Matrix<T>& a, const Matrix<T>& b) {
  if constexpr (std::is_same_v<T, float>) {
    if (problem.transpose_b && !problem.transpose_a && problem.m <= kDotRows) {
      context.table.dot_f32(c, ldc, a.data, a.ld, b.data, b.ld, problem.m, problem.n, problem.k,
                            problem.accumulate);
      return;
    }
  }
  const Matrix<T> right =
      plain(context, Scratch::kIndex, b, problem.transpose_b, problem.k, problem.n);
  const GemmShape shape{problem.m, problem.n, problem.k, a.ld, right.ld, ldc, problem.accumulate};
  bool done = false;
  if constexpr (std::is_same_v<T, float>) {
    done = gemm_f32(shape, problem.transpose_a, c, a.data, right.data);
  } else {
    done = gemm_f64(shape, problem.transpose_a, c, a.data, right.data);
  }
  if (!done) {
    multiply_rows(context.table, shape, problem.transpose_a, c, a.data, right.data);
  }
}

// Calls pack(problem, b), then product(problem, c, a) for each block of rows, over blocks of
// columns and depth. Each element of c sums over k in the same order, whatever the blocks.
template <class T, class Pack, class Product>
void for_each_block(const Problem& whole, float* c, int64_t ldc, const Matrix<T>& a,
                    const Matrix<T>& b, Pack&& pack, Product&& product) {
  for (int64_t n = 0; n < whole.n; n += kBlockCols) {
    for (int64_t k = 0; k < whole.k; k += kBlockDepth) {
      Problem block = whole;
      block.n = std::min(kBlockCols, whole.n - n);
      block.k = std::min(kBlockDepth, whole.k - k);
      block.accumulate = whole.accumulate || k > 0;
      pack(block, part(b, whole.transpose_b, k, n));
      for (int64_t m = 0; m < whole.m; m += kBlockRows) {
        block.m = std::min(kBlockRows, whole.m - m);
        product(block, c + m * ldc + n, part(a, whole.transpose_a, m, k));
      }
    }
  }
}

void multiply_f32(EngineContext& context, const Problem& problem, float* c, int64_t ldc,
                  const Matrix<float>& a, const Matrix<float>& b) {
  if (problem.transpose_b && !problem.transpose_a && problem.m <= kDotRows) {
    return multiply_floats(context, problem, c, ldc, a, b);
  }
  Matrix<float> right = {};
  for_each_block(
      problem, c, ldc, a, b,
      [&](const Problem& block, const Matrix<float>& stored) {
        right = plain(context, Scratch::kIndex, stored, block.transpose_b, block.k, block.n);
        if (block.transpose_b || problem.m <= kBlockRows) return;
        // Rows far apart, which are read again and again, fall into few sets of the caches.
        float* packed = context.scratch.get<float>(Scratch::kIndex, block.k * block.n);
        pack_rows(stored, block.k, block.n, packed);
        right = {packed, block.n};
      },
      [&](Problem block, float* out, const Matrix<float>& left) {
        block.transpose_b = false;
        multiply_floats(context, block, out, ldc, left, right);
      });
}

// False, with nothing done, where the host lacks kernels for bf16.
bool multiply_bf16(EngineContext& context, const Problem& problem, float* c, int64_t ldc,
                   const Matrix<uint16_t>& a, const Matrix<uint16_t>& b) {
  if (problem.transpose_b && problem.m <= kDotRows) {
    const Matrix<uint16_t> left =
        plain(context, Scratch::kSource0, a, problem.transpose_a, problem.m, problem.k);
    context.table.dot_bf16(c, ldc, left.data, left.ld, b.data, b.ld, problem.m, problem.n,
                           problem.k, problem.accumulate);
    return true;
  }
  uint16_t* packed = nullptr;
  bool done = true;
  for_each_block(
      problem, c, ldc, a, b,
      [&](const Problem& block, const Matrix<uint16_t>& stored) {
        if (!done) return;
        packed = context.scratch.get<uint16_t>(Scratch::kSource2, (block.k + 1) / 2 * block.n * 2);
        pack_pairs(context, block, stored, packed);
      },
      [&](const Problem& block, float* out, const Matrix<uint16_t>& left) {
        if (!done) return;
        const Matrix<uint16_t> padded = pad_to_pairs(context, block, left);
        const GemmShape shape{block.m, block.n, block.k + block.k % 2, padded.ld,
                              block.n, ldc,     block.accumulate};
        done = gemm_bf16(shape, out, padded.data, packed);
      });
  return done;
}

// Products of up to 16 bits are exact in f64, and so are 2^21 of their sums.
bool exact_in_f64(DType type, int64_t k) { return size_of(type) <= 2 && k <= int64_t{1} << 21; }

void multiply_integers(EngineContext& context, Problem problem, const Tile& dst, const Tile& a,
                       const Tile& b) {
  Scratch& scratch = context.scratch;
  const int64_t outputs = dst.elements();
  const bool accumulate = problem.accumulate;
  problem.accumulate = false;
  int64_t* sums = scratch.get<int64_t>(Scratch::kDestination, outputs);
  if (exact_in_f64(a.dtype, problem.k)) {
    double* exact = scratch.get<double>(Scratch::kCondition, outputs);
    multiply_floats(context, problem, exact, problem.n,
                    converted<double>(context, Scratch::kSource0, a),
                    converted<double>(context, Scratch::kSource1, b));
    load_as(context.table, sums, DType::f64, exact, outputs);
  } else {
    const Matrix<int64_t> left = converted<int64_t>(context, Scratch::kSource0, a);
    const Matrix<int64_t> right =
        plain(context, Scratch::kIndex, converted<int64_t>(context, Scratch::kSource1, b),
              problem.transpose_b, problem.k, problem.n);
    const GemmShape shape{problem.m, problem.n, problem.k, left.ld, right.ld, problem.n, false};
    multiply_rows(context.table, shape, problem.transpose_a, sums, left.data, right.data);
  }
  if (accumulate) {
    int64_t* before = scratch.get<int64_t>(Scratch::kCondition, outputs);
    load_as(context.table, before, dst.dtype, dst.data, outputs);
    context.table.i64.binary[static_cast<int>(BinaryFn::add)](sums, {sums, false}, {before, false},
                                                              outputs);
  }
  store_as(context.table, dst.dtype, dst.data, sums, outputs);
}

}  // namespace

bool splits_exactly(const MatrixForm& form, const Tile& a, const Tile& b) {
  if (a.dtype != DType::f32 && a.dtype != DType::bf16 && a.dtype != DType::f16) return false;
  // Dot products of rows fold the lanes of each part.
  const int64_t rows = form.transpose_a ? a.cols : a.rows;
  if (form.transpose_b && rows <= kDotRows) return false;
  // LIBXSMM's kernels sum even and odd k apart where one register is all there is to a row.
  constexpr int64_t kUnit = 64;
  constexpr int64_t kRegister = 16;
  const int64_t cols = form.transpose_b ? b.rows : b.cols;
  return cols % kUnit == 0 || cols % kUnit > kRegister;
}

void multiply(EngineContext& context, const MatrixForm& form, const Tile& dst, const Tile& a,
              const Tile& b) {
  const Problem problem{dst.rows,         dst.cols,         form.transpose_a ? a.rows : a.cols,
                        form.transpose_a, form.transpose_b, form.accumulate};
  if (dst.elements() == 0) return;
  if (problem.k == 0) {
    if (!form.accumulate) {
      std::memset(dst.data, 0, static_cast<size_t>(dst.elements() * size_of(dst.dtype)));
    }
    return;
  }
  auto* floats = reinterpret_cast<float*>(dst.data);
  switch (a.dtype) {
    case DType::f64:
      return multiply_floats(context, problem, reinterpret_cast<double*>(dst.data), dst.ld,
                             stored_in<double>(a), stored_in<double>(b));
    case DType::f32:
      return multiply_f32(context, problem, floats, dst.ld, stored_in<float>(a),
                          stored_in<float>(b));
    case DType::bf16:
      if (multiply_bf16(context, problem, floats, dst.ld, stored_in<uint16_t>(a),
                        stored_in<uint16_t>(b))) {
        return;
      }
      [[fallthrough]];
    case DType::f16:
      return multiply_f32(context, problem, floats, dst.ld,
                          converted<float>(context, Scratch::kSource0, a),
                          converted<float>(context, Scratch::kSource1, b));
    default:
      return multiply_integers(context, problem, dst, a, b);
  }
}

}  // namespace npu::sim

#include "sim/engine/matrix_operands.h"

#include <cstring>

namespace npu::sim {

void pack_rows(const Matrix<float>& b, int64_t k, int64_t n, float* out) {
  for (int64_t i = 0; i < k; ++i) {
    std::memcpy(out + i * n, b.data + i * b.ld, static_cast<size_t>(n) * sizeof(float));
  }
}

void pack_pairs(EngineContext& context, const Problem& problem, const Matrix<uint16_t>& b,
                uint16_t* out) {
  const int64_t pairs = (problem.k + 1) / 2;
  if (problem.transpose_b && problem.k % 2 == 0 && b.ld % 2 == 0) {
    // A pair is one element of four bytes, which only has to be transposed.
    context.table.transpose[2](out, problem.n, b.data, b.ld / 2, problem.n, pairs);
    return;
  }
  const Matrix<uint16_t> rows =
      plain(context, Scratch::kIndex, b, problem.transpose_b, problem.k, problem.n);
  context.table.interleave_rows16(out, rows.data, rows.ld, problem.k, problem.n);
}

Matrix<uint16_t> pad_to_pairs(EngineContext& context, const Problem& problem,
                              const Matrix<uint16_t>& a) {
  const Matrix<uint16_t> rows =
      plain(context, Scratch::kSource0, a, problem.transpose_a, problem.m, problem.k);
  if (problem.k % 2 == 0 && rows.ld % 2 == 0) return rows;
  const int64_t ld = problem.k + problem.k % 2;
  uint16_t* out = context.scratch.get<uint16_t>(Scratch::kSource1, problem.m * ld);
  for (int64_t i = 0; i < problem.m; ++i) {
    std::memcpy(out + i * ld, rows.data + i * rows.ld, static_cast<size_t>(problem.k) * 2);
    if (problem.k < ld) out[i * ld + problem.k] = 0;
  }
  return {out, ld};
}

}  // namespace npu::sim

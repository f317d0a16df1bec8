// The matrix engine.
#pragma once

#include "sim/engine/tile.h"

namespace npu::sim {

// dst[M, N] (+)= a[M, K] @ b[K, N]. With transpose_a, a is [K, M]; with transpose_b, b is [N, K].
// f32, f16 and bf16 accumulate in f32, f64 in f64, integers wrap in the destination's type. dst
// overlaps neither source; where it is of integers, it is packed. Denormal bf16 operands may count
// as zero, as the host's bf16 instructions have it.
struct MatrixForm {
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
};
void multiply(EngineContext& context, const MatrixForm& form, const Tile& dst, const Tile& a,
              const Tile& b);

// Does a product give the same bits as the products of its parts along K, accumulated in turn?
bool splits_exactly(const MatrixForm& form, const Tile& a, const Tile& b);

}  // namespace npu::sim

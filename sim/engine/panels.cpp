#include "sim/engine/panels.h"

#include <algorithm>
#include <utility>

#include "sim/engine/gemm_kernels.h"
#include "sim/engine/matrix_operands.h"

namespace npu::sim {
namespace {

// As many columns as a kernel keeps in registers, so that it reads b from end to end.
constexpr int64_t kPanelCols = 64;
constexpr int64_t kFewestRows = 32;
constexpr int64_t kFewestMacs = int64_t{1} << 20;

int64_t block_depth(DType type) { return kPanelBytes / (kPanelCols * size_of(type)); }

// Part of a stored operand: sizes and offsets count in the product.
Tile part(const Tile& stored, bool transposed, int64_t row, int64_t rows, int64_t col,
          int64_t cols) {
  if (transposed) {
    std::swap(row, col);
    std::swap(rows, cols);
  }
  Tile result = stored;
  result.data = stored.row(row) + col * size_of(stored.dtype);
  result.rows = rows;
  result.cols = cols;
  return result;
}

}  // namespace

std::optional<PanelProduct> PanelProduct::make(const MatrixForm& form, const Tile& dst,
                                               const Tile& a, const Tile& b) {
  if (a.dtype != DType::f32 && (a.dtype != DType::bf16 || !has_gemm_bf16())) return std::nullopt;
  const int64_t depth = form.transpose_a ? a.rows : a.cols;
  if (dst.rows < kFewestRows || dst.elements() * depth < kFewestMacs) return std::nullopt;
  return PanelProduct(form, dst, a, b);
}

int64_t PanelProduct::panels() const { return (dst_.cols + kPanelCols - 1) / kPanelCols; }

int64_t PanelProduct::depths() const {
  const int64_t depth = form_.transpose_a ? a_.rows : a_.cols;
  const int64_t unit = block_depth(b_.dtype);
  return (depth + unit - 1) / unit;
}

Tile PanelProduct::block(int64_t panel, int64_t depth) const {
  const int64_t k = depth * block_depth(b_.dtype);
  const int64_t n = panel * kPanelCols;
  const int64_t all = form_.transpose_b ? b_.cols : b_.rows;
  return part(b_, form_.transpose_b, k, std::min(block_depth(b_.dtype), all - k), n,
              std::min(kPanelCols, dst_.cols - n));
}

void PanelProduct::pack(EngineContext& context, const Tile& block, std::byte* out) const {
  const int64_t depth = form_.transpose_b ? block.cols : block.rows;
  const int64_t cols = form_.transpose_b ? block.rows : block.cols;
  if (block.dtype == DType::bf16) {
    const Problem problem{0, cols, depth, false, form_.transpose_b, false};
    return pack_pairs(context, problem, stored_in<uint16_t>(block),
                      reinterpret_cast<uint16_t*>(out));
  }
  if (form_.transpose_b) {
    return context.table.transpose[2](out, cols, block.data, block.ld, cols, depth);
  }
  pack_rows(stored_in<float>(block), depth, cols, reinterpret_cast<float*>(out));
}

void PanelProduct::multiply(EngineContext& context, int64_t panel, int64_t depth,
                            const std::byte* packed) {
  const Tile right = block(panel, depth);
  const int64_t k = depth * block_depth(b_.dtype);
  const int64_t deep = form_.transpose_b ? right.cols : right.rows;
  const int64_t cols = form_.transpose_b ? right.rows : right.cols;
  const bool accumulate = form_.accumulate || depth > 0;
  const Tile dst = part(dst_, false, 0, dst_.rows, panel * kPanelCols, cols);
  if (packed != nullptr && multiply_packed(context, dst, k, deep, accumulate, packed)) return;
  MatrixForm form = form_;
  form.accumulate = accumulate;
  sim::multiply(context, form, dst, part(a_, form_.transpose_a, 0, dst_.rows, k, deep), right);
  left_.reset();  // the scratch space has been used
}

bool PanelProduct::multiply_packed(EngineContext& context, const Tile& dst, int64_t k,
                                   int64_t depth, bool accumulate, const std::byte* packed) {
  bool transposed = form_.transpose_a;
  if (b_.dtype == DType::bf16) {
    if (!left_) {
      const int64_t all = transposed ? a_.rows : a_.cols;
      const Problem problem{dst.rows, 0, all, transposed, false, false};
      const Matrix<uint16_t> padded = pad_to_pairs(context, problem, stored_in<uint16_t>(a_));
      left_ = a_;
      left_->data = reinterpret_cast<std::byte*>(const_cast<uint16_t*>(padded.data));
      left_->ld = padded.ld;
      left_->rows = dst.rows;
      left_->cols = all;
    }
    transposed = false;
  }
  const Tile& left = left_ ? *left_ : a_;
  for (int64_t m = 0; m < dst.rows; m += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, dst.rows - m);
    GemmShape shape{rows, dst.cols, depth, left.ld, dst.cols, dst.ld, accumulate};
    auto* c = reinterpret_cast<float*>(dst.row(m));
    const std::byte* a = part(left, transposed, m, rows, k, depth).data;
    bool done = false;
    if (b_.dtype == DType::bf16) {
      shape.k += depth % 2;
      done = gemm_bf16(shape, c, reinterpret_cast<const uint16_t*>(a),
                       reinterpret_cast<const uint16_t*>(packed));
    } else {
      done = gemm_f32(shape, transposed, c, reinterpret_cast<const float*>(a),
                      reinterpret_cast<const float*>(packed));
    }
    if (!done) return false;  // the first time if at all: shapes differ in rows only
  }
  return true;
}

}  // namespace npu::sim

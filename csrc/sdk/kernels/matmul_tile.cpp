#include "csrc/sdk/kernels/matmul_tile.h"

#include <string>

namespace npu::kernels {

using sdk::Builder;
using sdk::Tile;
using sdk::Value;

TileProduct::TileProduct(Builder& b, const MatmulForm& form, const MatmulTiling& tiling,
                         const Value& cols)
    : b_(b), form_(form), tiling_(tiling) {
  a_tile_ = b.tile("a_tile", form.type, tiling.m * tiling.k, tiling.load_buffers);
  chunks_.resize(static_cast<size_t>(tiling.chunks()));
  for (size_t i = 0; i < chunks_.size(); ++i) {
    Chunk& chunk = chunks_[i];
    const std::string number = chunks_.size() > 1 ? std::to_string(i) : "";
    const int64_t width = tiling.chunk;
    chunk.number = i;
    chunk.b_tile = b.tile("b_tile" + number, form.type, tiling.k * width, tiling.load_buffers);
    chunk.acc = b.tile("acc" + number, form.accumulator(), tiling.m * width, tiling.accumulators);
    chunk.start = static_cast<int64_t>(i) * width;
    chunk.cols = chunks_.size() > 1 ? b.min(cols - chunk.start, width) : cols;
  }
}

void TileProduct::for_each_chunk(const ChunkBody& body) const {
  for (const Chunk& chunk : chunks_) {
    if (chunk.number == 0) {
      body(chunk);
    } else {
      b_.if_(Value(0) < chunk.cols, [&] { body(chunk); });
    }
  }
}

void TileProduct::load_columns(sdk::Pointer from, const Value& offset, const sdk::Dim& depth,
                               const Value& col_stride, sdk::Share share) const {
  for_each_chunk([&](const Chunk& chunk) {
    b_.load(chunk.b_tile, from, offset + chunk.start * col_stride,
            operand_region(depth, {chunk.cols, col_stride}, form_.transpose_b), share);
  });
}

void TileProduct::run(const Value& rows, const Value& k, const Load& load,
                      const ChunkBody& finish) const {
  const auto load_from = [&](const Value& start) { load(start, b_.min(k - start, tiling_.k)); };
  const auto multiply = [&](const Chunk& chunk, bool zero) {
    b_.mma(chunk.acc, a_tile_, chunk.b_tile,
           {.zero = zero, .transpose_a = form_.transpose_a, .transpose_b = form_.transpose_b});
  };
  const Value last = b_.max(b_.ceil_div(k, tiling_.k) - 1, 0);
  b_.loop(last, [&](const Value& step) {
    load_from(step * tiling_.k);
    b_.if_(
        step == 0, [&] { for_each_chunk([&](const Chunk& chunk) { multiply(chunk, true); }); },
        [&] { for_each_chunk([&](const Chunk& chunk) { multiply(chunk, false); }); });
  });
  b_.if_(Value(0) < k, [&] { load_from(last * tiling_.k); });
  for_each_chunk([&](const Chunk& chunk) {
    b_.if_(
        Value(0) < last, [&] { multiply(chunk, false); },
        [&] {
          b_.if_(
              Value(0) < k, [&] { multiply(chunk, true); },
              [&] {
                const Value zero = sim::is_float(form_.accumulator()) ? Value(0.0) : Value(0);
                b_.fill(chunk.acc, zero, rows, chunk.cols);
              });
        });
    finish(chunk);
  });
}

TileEpilogue::TileEpilogue(Builder& b, const MatmulForm& form, int64_t capacity, int results)
    : b_(b), form_(form), formula_(form.epilogue()) {
  if (form.stores_accumulator()) return;
  result_ = b.tile("result", form.out_type, capacity, results);
  for (int i = 0; form.has_epilogue() && i < formula_.temporaries(); ++i) {
    temporaries_.push_back(b.tile("tmp" + std::to_string(i), form.accumulator(), capacity));
  }
}

Tile TileEpilogue::apply(const Tile& acc, const std::optional<Tile>& other,
                         std::span<const Value> scalars) const {
  if (form_.stores_accumulator()) return acc;
  if (!form_.has_epilogue()) {
    b_.vector(sdk::UnaryFn::copy, result_, acc);
    return result_;
  }
  std::vector<sdk::Operand> operands = {acc};
  if (other) operands.emplace_back(*other);
  formula_.emit(b_, operands, scalars, temporaries_, result_);
  return result_;
}

}  // namespace npu::kernels

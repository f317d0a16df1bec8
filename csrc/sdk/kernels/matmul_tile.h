// What programs of matrix products are made of: the walk along k, and what happens to its sums.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/matmul.h"

namespace npu::kernels {

// A matrix of an operand as the matrix engine takes it: transposed where memory walks its rows.
inline sdk::Region operand_region(const sdk::Dim& rows, const sdk::Dim& cols, bool transposed) {
  return transposed ? sdk::Region({cols}, {rows}) : sdk::Region({rows}, {cols});
}

// The product of one output tile: operands are loaded some of k at a time into rotating buffers.
class TileProduct {
 public:
  // The columns of the tile that one accumulator holds.
  struct Chunk {
    size_t number = 0;
    sdk::Tile b_tile;
    sdk::Tile acc;
    sdk::Value start = 0;  // from the tile's first column
    sdk::Value cols = 0;   // not positive where the tile ends before
  };

  // Declares the tiles, for output tiles of `cols` columns.
  TileProduct(sdk::Builder& b, const MatmulForm& form, const MatmulTiling& tiling,
              const sdk::Value& cols);

  // Runs `body` for the chunks that the tile has.
  using ChunkBody = std::function<void(const Chunk&)>;
  void for_each_chunk(const ChunkBody& body) const;

  const sdk::Tile& a_tile() const { return a_tile_; }
  const Chunk& first_chunk() const { return chunks_[0]; }

  // Loads `depth` of k of the chunks' columns from a matrix [k, columns] that starts at `offset`.
  void load_columns(sdk::Pointer from, const sdk::Value& offset, const sdk::Dim& depth,
                    const sdk::Value& col_stride, sdk::Share share = sdk::Share::none) const;

  // Multiplies `rows` rows. `load` fills a's tile and the chunks' with `depth` of k from `start`
  // on. In the last step chunks are finished one after the other, so that results leave while
  // products still run. Without k the sums are zero.
  using Load = std::function<void(const sdk::Value& start, const sdk::Value& depth)>;
  void run(const sdk::Value& rows, const sdk::Value& k, const Load& load,
           const ChunkBody& finish) const;

 private:
  sdk::Builder& b_;
  const MatmulForm form_;
  const MatmulTiling tiling_;
  sdk::Tile a_tile_;
  std::vector<Chunk> chunks_;
};

// What turns accumulators into results.
class TileEpilogue {
 public:
  TileEpilogue(sdk::Builder& b, const MatmulForm& form, int64_t capacity, int results);

  // The tile to store. `other` is a tile where the form has a bias or scales rows.
  sdk::Tile apply(const sdk::Tile& acc, const std::optional<sdk::Tile>& other,
                  std::span<const sdk::Value> scalars) const;

 private:
  sdk::Builder& b_;
  const MatmulForm form_;
  Formula formula_;
  sdk::Tile result_;
  std::vector<sdk::Tile> temporaries_;
};

}  // namespace npu::kernels

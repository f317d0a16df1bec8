// How programs walk a strided loop nest: a tile covers the innermost dimensions of an Iteration,
// [dim 2 x dim 1, dim 0], and the program id counts tiles and outer dimensions.
//
// The program side (TileWalk) declares what the launch side (Tiling, pass_walk) passes. A tensor of
// the walk need not lie in memory: index arithmetic is a tensor whose strides say how the index
// grows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/arguments.h"
#include "csrc/sdk/kernels/iteration.h"

namespace npu::kernels {

inline constexpr int kTileDims = 3;
inline constexpr int64_t kTileAlignment = 64;  // elements
// Elements of a tile: fewest of one that should keep an engine busy, and how many are usual.
inline constexpr int64_t kSmallTileElements = 1024;
inline constexpr int64_t kTileElements = 16384;

inline constexpr int64_t kUnlimited = INT64_MAX;

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Elements of a tile with which a core that streams hides the latency of the memory: its load
// buffers hold twice of what memory and port deliver to it meanwhile. At least kTileElements.
int64_t tile_elements(const sim::Machine& machine);

// Elements that fit where each element of a tile takes `bytes` of scratchpad, at most `most`, or
// tile_elements().
int64_t tile_capacity(const sim::Machine& machine, int64_t bytes, int64_t most);
int64_t tile_capacity(const sim::Machine& machine, int64_t bytes);

// How many buffers a tile that is loaded has: loads run that far ahead.
int load_buffers(const sim::Machine& machine);

// Elements of a tile for a nest of n: at most the capacity, and so that all cores get as many tiles
// as far as tiles are not too small for that.
int64_t target_elements(const sim::Machine& machine, int64_t n, int64_t capacity);

// What a core takes at a time of its share: equal parts of at most `most`, and as long as they are
// not below `small` so many that loads, arithmetic and stores overlap.
int64_t part_of_core(int64_t share, int64_t most, int64_t small);

// Splits `size` into equal parts of at most `most`.
int64_t even_part(int64_t size, int64_t most);

struct Tiling {
  std::array<int64_t, kTileDims> tile = {1, 1, 1};   // elements
  std::array<int64_t, kTileDims> tiles = {1, 1, 1};  // how many
  int64_t grid = 1;

  int64_t elements() const { return tile[0] * tile[1] * tile[2]; }
};
// A tile of at most `elements` over at most `tile_dims` dimensions.
Tiling choose_tiling(const Iteration& nest, int64_t elements, int tile_dims = kTileDims);
// Tiles of at most `capacity` elements: those of target_elements(), or larger ones where the rows
// of the nest would make so many of those that the last wait for the buffers of the first.
Tiling tiling_for(const sim::Machine& machine, const Iteration& nest, int64_t capacity,
                  int tile_dims = kTileDims);
// Nearly square in the first two dimensions, for tiles that are transposed.
Tiling choose_square_tiling(const Iteration& nest, int64_t elements);

class TileWalk {
 public:
  struct Options {
    std::string prefix = {};                     // of its arguments' names
    uint32_t left_out = 0;                       // tensors (by bit) that have no place in the walk
    std::optional<sdk::Value> tile_number = {};  // instead of the program id
  };

  // `dims`: 0 declares the linear form, in which every tensor is contiguous; otherwise the nest's
  // rank. Declares its arguments and emits the arithmetic.
  TileWalk(sdk::Builder& builder, int dims, int tensors) : TileWalk(builder, dims, tensors, {}) {}
  TileWalk(sdk::Builder& builder, int dims, int tensors, const Options& options);

  const sdk::Value& rows() const { return rows_; }
  const sdk::Value& cols() const { return extent_[0]; }
  sdk::Value elements() const { return rows_ * extent_[0]; }
  // Of the tile's first element, from the tensor's pointer.
  const sdk::Value& offset(int tensor) const { return offset_[static_cast<size_t>(tensor)]; }
  const sdk::Value& extent(int dim) const { return extent_[static_cast<size_t>(dim)]; }
  sdk::Value stride(int tensor, int dim) const;

  // Where the tensor's tile lies.
  sdk::Region region(int tensor) const;
  // At most so many elements along each row dimension and along the columns.
  sdk::Region region(int tensor, const sdk::Value& row_limit, const sdk::Value& col_limit) const;
  // The tile's dimensions in one list, for regions that combine walks; the launch keeps tiles one
  // element thick beyond `most` dimensions.
  std::vector<sdk::Dim> dims(int tensor, int most = kTileDims) const;

 private:
  void locate_linear(const Options& options);
  void locate_strided(const Options& options);

  sdk::Builder& builder_;
  int dims_;
  std::array<sdk::Value, kTileDims> extent_ = {1, 1, 1};
  sdk::Value rows_ = 1;
  std::vector<sdk::Value> offset_;
  std::vector<std::vector<sdk::Value>> stride_;
};

// The `dims` of a TileWalk over the nest: 0 if all tensors are contiguous, else the rank.
int walk_dims(const Iteration& nest);

// Passes the walk's arguments for tiles of at most `capacity` elements over at most `tile_dims`
// dimensions; returns the grid.
int64_t pass_walk(Arguments& args, const Iteration& nest, int dims, const sim::Machine& machine,
                  int64_t capacity, int tile_dims = kTileDims);
// The parts: the linear form and the strided one. `left_out` as given to TileWalk.
int64_t pass_linear_walk(Arguments& args, int64_t n, int64_t elements);
int64_t pass_strided_walk(Arguments& args, const Iteration& nest, const Tiling& tiling,
                          uint32_t left_out = 0);

}  // namespace npu::kernels

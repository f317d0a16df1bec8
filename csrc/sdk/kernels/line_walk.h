// How programs work along one dimension: a tile holds several lines, as rows or as columns,
// whichever way memory is contiguous, and statistics of a line are [lines, 1] or [1, lines] tiles
// that broadcast back over it. Lines longer than a tile are walked in chunks.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

// Elements of a tile that holds one whole line, at most.
int64_t line_elements(const sim::Machine& machine);

// Tensors of a line walk: those with a stride along the line, and those with one element a line.
struct LineNest {
  Iteration kept;  // the other dimensions
  int64_t length = 1;
  std::array<int64_t, kMaxIterationTensors> line_stride = {};
};
// `tensors` have equal sizes, but for 1 along `dim` in those with one element a line. Undefined
// tensors are left out.
LineNest make_line_nest(std::span<const Tensor* const> tensors, int dim);

// What of a nest distinguishes programs.
struct LineForm {
  bool rows = true;   // lines are rows of a tile, else columns
  bool whole = true;  // a tile holds whole lines
  int kept_dims = 0;
  uint32_t left_out = 0;  // tensors, by bit

  int64_t code() const { return rows | whole << 1 | kept_dims << 2 | int64_t{left_out} << 8; }
};
// `capacity`: elements of the program's tiles.
LineForm choose_line_form(const LineNest& nest, int64_t capacity,
                          std::span<const Tensor* const> tensors);

// Passes what LineWalk declares; returns the grid. A tile holds `most_lines` at most.
int64_t pass_lines(Arguments& args, const LineNest& nest, const LineForm& form,
                   const sim::Machine& machine, int64_t capacity, int64_t most_lines = kUnlimited);

// How many lines a tile of `capacity` elements holds at most: the capacity of tiles with one
// element a line.
int64_t line_capacity(const sim::Machine& machine, int64_t capacity);

// What of the scratchpad a program's lines have. A line that no tile of the usual size holds may
// take a tile of its own, so that it is read once: with fewer buffers, and few lines beside it.
struct LineRoom {
  int own_buffers = 0;  // of what is loaded, where a line has a tile of its own; else 0

  bool own() const { return own_buffers > 0; }
  int load_buffers(const sim::Machine& machine) const;
  int store_buffers() const { return own() ? 1 : 2; }
  // Elements of a tile where each takes `bytes`, and each line `line_bytes` beside them.
  int64_t capacity(const sim::Machine& machine, int64_t bytes, int64_t line_bytes) const;
  // Lines of a tile of that capacity, for tiles with one element a line and for pass_lines().
  int64_t lines(const sim::Machine& machine, int64_t capacity) const;
  int64_t most_lines() const;
};
// The first room with which `capacity_of` holds a whole line; the usual one if none does.
LineRoom room_for_line(int64_t length, const std::function<int64_t(const LineRoom&)>& capacity_of);

class LineWalk {
 public:
  LineWalk(sdk::Builder& builder, const LineForm& form, int tensors,
           const std::optional<sdk::Value>& tile_number = {});

  bool rows() const { return form_.rows; }
  bool whole() const { return form_.whole; }
  const sdk::Value& length() const { return length_; }
  // How many lines the tile holds.
  sdk::Value lines() const { return kept_.elements(); }

  // The part of the tensor's lines from `start` on, `count` elements of each.
  sdk::Value offset(int tensor, const sdk::Value& start) const;
  sdk::Region region(int tensor, const sdk::Value& count) const;
  // One element of each line.
  sdk::Value offset(int tensor) const { return kept_.offset(tensor); }
  sdk::Region line_region(int tensor) const;

  // Calls body(start, count) for the chunks of the lines: once, without a loop, if they are whole.
  using Chunk = std::function<void(const sdk::Value& start, const sdk::Value& count)>;
  void chunks(const Chunk& body) const;

  // sum = the reduction of what `produce` gives for the chunks; `partial` is scratch of the same
  // type as `sum`.
  using Produce = std::function<sdk::Tile(const sdk::Value& start, const sdk::Value& count)>;
  void reduce(sdk::ReduceFn fn, const sdk::Tile& sum, const sdk::Tile& partial,
              const Produce& produce) const;
  // One value for each line.
  void fill(const sdk::Tile& tile, const sdk::Value& value) const;
  void reduce_tile(sdk::ReduceFn fn, const sdk::Tile& dst, const sdk::Tile& src) const {
    builder_.reduce(fn, dst, src, !form_.rows);
  }

 private:
  sdk::Builder& builder_;
  LineForm form_;
  sdk::Value length_;
  sdk::Value chunk_;
  std::vector<sdk::Value> line_stride_;
  TileWalk kept_;
};

// Several tiles to a program, so that what all lines share is loaded once. Declares how many there
// are; body(number) makes the walk of a tile and works on it.
void each_tile(sdk::Builder& builder, const std::function<void(const sdk::Value& number)>& body);

// Passes what each_tile() declares, then the walk's arguments; returns the grid. `tiles`: what
// pass_lines() gave for `lines`.
int64_t pass_tiles(Arguments& args, const Arguments& lines, const sim::Machine& machine,
                   int64_t tiles);

}  // namespace npu::kernels

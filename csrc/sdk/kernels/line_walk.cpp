#include "csrc/sdk/kernels/line_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "csrc/sdk/kernels/reduction.h"

namespace npu::kernels {

using sdk::Builder;
using sdk::Dim;
using sdk::Region;
using sdk::Tile;
using sdk::Value;

LineNest make_line_nest(std::span<const Tensor* const> tensors, int dim) {
  LineNest nest;
  Iteration& kept = nest.kept;
  kept.tensors = static_cast<int>(tensors.size());
  const Tensor& first = *tensors[0];
  if (first.rank > 0) {
    nest.length = first.sizes[dim];
    for (int t = 0; t < kept.tensors; ++t) nest.line_stride[t] = tensors[t]->strides[dim];
  }
  for (int d = first.rank - 1; d >= 0; --d) {
    if (d == dim || first.sizes[d] == 1) continue;
    kept.size[kept.rank] = first.sizes[d];
    for (int t = 0; t < kept.tensors; ++t) {
      kept.stride[t][kept.rank] = tensors[t]->defined() ? tensors[t]->strides[d] : 0;
    }
    ++kept.rank;
  }
  // A line of one element has no direction.
  if (nest.length == 1) nest.line_stride.fill(1);
  kept.sort_by_first();
  kept.coalesce();
  return nest;
}

LineForm choose_line_form(const LineNest& nest, int64_t capacity,
                          std::span<const Tensor* const> tensors) {
  LineForm form;
  const Iteration& kept = nest.kept;
  form.rows = kept.rank == 0 || std::abs(nest.line_stride[0]) <= std::abs(kept.stride[0][0]);
  // Columns stand side by side, so that runs in memory are contiguous.
  const int64_t side_by_side = form.rows ? 1 : std::min(kTileAlignment, kept.size[0]);
  form.whole = nest.length <= capacity / side_by_side;
  for (size_t t = 0; t < tensors.size(); ++t) {
    if (!tensors[t]->defined()) form.left_out |= 1U << t;
  }
  // Always in the strided form: lines are seldom neighbours along all tensors.
  form.kept_dims = std::max(kept.rank, 1);
  return form;
}

int64_t line_elements(const sim::Machine& machine) {
  constexpr int64_t kLineElements = 32768;
  return std::max(kLineElements, tile_elements(machine));
}

int64_t line_capacity(const sim::Machine& machine, int64_t capacity) {
  return std::max(std::min(capacity, tile_elements(machine)) / 4, int64_t{1});
}

namespace {

constexpr int64_t kLinesOfOwnTile = kTileAlignment;

}  // namespace

int LineRoom::load_buffers(const sim::Machine& machine) const {
  return own() ? own_buffers : kernels::load_buffers(machine);
}

int64_t LineRoom::capacity(const sim::Machine& machine, int64_t bytes, int64_t line_bytes) const {
  // What few lines need beside is little.
  if (own()) return tile_capacity(machine, bytes, kUnlimited);
  constexpr int64_t kElementsOfLine = 4;  // at least: line_capacity()
  return tile_capacity(machine, bytes + line_bytes / kElementsOfLine, line_elements(machine));
}

int64_t LineRoom::lines(const sim::Machine& machine, int64_t capacity) const {
  return own() ? kLinesOfOwnTile : line_capacity(machine, capacity);
}

int64_t LineRoom::most_lines() const { return own() ? kLinesOfOwnTile : kUnlimited; }

LineRoom room_for_line(int64_t length, const std::function<int64_t(const LineRoom&)>& capacity_of) {
  for (const LineRoom& room : {LineRoom{0}, LineRoom{2}, LineRoom{1}}) {
    if (length <= capacity_of(room)) return room;
  }
  return {};
}

int64_t pass_lines(Arguments& args, const LineNest& nest, const LineForm& form,
                   const sim::Machine& machine, int64_t capacity, int64_t most_lines) {
  Iteration kept = nest.kept;
  if (kept.rank == 0) {
    kept.rank = 1;
    kept.size[0] = 1;
  }
  const int64_t fair = ceil_div(kept.numel(), machine.core.count);
  // Short lines share a tile of the usual size; a long one may fill a larger tile alone.
  const int64_t elements = std::min(capacity, tile_elements(machine));
  int64_t lines = 0;
  int64_t chunk = nest.length;
  if (form.rows) {
    if (!form.whole) chunk = elements;
    lines = part_of_core(fair, std::max(elements / chunk, int64_t{1}),
                         std::max(kSmallTileElements / chunk, int64_t{1}));
  } else {
    const int64_t neighbours = std::min(kTileAlignment, kept.size[0]);
    const int64_t wide = ceil_div(fair, neighbours) * neighbours;
    constexpr int64_t kShortestChunk = 16;
    lines = std::min(form.whole ? capacity / chunk : elements / kShortestChunk, wide);
  }
  lines = std::clamp(lines, int64_t{1}, line_capacity(machine, capacity));
  lines = std::min({lines, kept.numel(), most_lines});
  if (!form.whole) chunk = std::min(chunk, elements / lines);

  args.integer(nest.length);
  if (!form.whole) args.integer(chunk);
  for (int t = 0; t < kept.tensors; ++t) {
    if ((form.left_out >> t & 1) == 0) args.integer(nest.line_stride[t]);
  }
  return pass_strided_walk(args, kept, choose_tiling(kept, lines), form.left_out);
}

namespace {

std::vector<Value> declare_strides(Builder& builder, int tensors, uint32_t left_out) {
  std::vector<Value> strides;
  for (int t = 0; t < tensors; ++t) {
    const bool declared = (left_out >> t & 1) == 0;
    strides.push_back(declared ? builder.integer(fmt::format("line_stride{}", t)) : Value(0));
  }
  return strides;
}

}  // namespace

LineWalk::LineWalk(Builder& builder, const LineForm& form, int tensors,
                   const std::optional<Value>& tile_number)
    : builder_(builder),
      form_(form),
      length_(builder.integer("length")),
      chunk_(form.whole ? length_ : builder.integer("chunk")),
      line_stride_(declare_strides(builder, tensors, form.left_out)),
      kept_(builder, form.kept_dims, tensors,
            {.left_out = form.left_out, .tile_number = tile_number}) {}

Value LineWalk::offset(int tensor, const Value& start) const {
  return kept_.offset(tensor) + start * line_stride_[static_cast<size_t>(tensor)];
}

Region LineWalk::region(int tensor, const Value& count) const {
  std::vector<Dim> line = {{count, line_stride_[static_cast<size_t>(tensor)]}};
  if (form_.rows) return {kept_.dims(tensor), std::move(line)};
  return {std::move(line), kept_.dims(tensor)};
}

Region LineWalk::line_region(int tensor) const {
  if (form_.rows) return {kept_.dims(tensor), {}};
  return {{}, kept_.dims(tensor)};
}

void LineWalk::chunks(const Chunk& body) const {
  if (form_.whole) {
    body(0, length_);
    return;
  }
  builder_.loop(builder_.ceil_div(length_, chunk_), [&](const Value& number) {
    const Value start = number * chunk_;
    body(start, builder_.min(chunk_, length_ - start));
  });
}

void LineWalk::reduce(sdk::ReduceFn fn, const Tile& sum, const Tile& partial,
                      const Produce& produce) const {
  if (form_.whole) {
    reduce_tile(fn, sum, produce(0, length_));
    return;
  }
  fill(sum, identity(fn, sim::is_float(sum.dtype)));
  chunks([&](const Value& start, const Value& count) {
    reduce_tile(fn, partial, produce(start, count));
    builder_.vector(combiner(fn), sum, sum, partial);
  });
}

void LineWalk::fill(const Tile& tile, const Value& value) const {
  builder_.fill(tile, value, form_.rows ? lines() : Value(1), form_.rows ? Value(1) : lines());
}

void each_tile(Builder& builder, const std::function<void(const Value& number)>& body) {
  const Value tiles = builder.integer("tiles");
  builder.loop(builder.ceil_div(tiles - builder.pid(), builder.grid()),
               [&](const Value& round) { body(builder.pid() + round * builder.grid()); });
}

int64_t pass_tiles(Arguments& args, const Arguments& lines, const sim::Machine& machine,
                   int64_t tiles) {
  // Enough programs for all of the host's threads, unless what they share were loaded for few
  // tiles.
  constexpr int64_t kMostEach = 16;  // programs of a core
  constexpr int64_t kTilesEach = 4;  // of a program
  args.integer(tiles);
  args.append(lines);
  const int64_t cores = machine.core.count;
  return std::min(tiles, cores * std::clamp(tiles / (cores * kTilesEach), int64_t{1}, kMostEach));
}

}  // namespace npu::kernels

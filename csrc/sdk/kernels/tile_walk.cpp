#include "csrc/sdk/kernels/tile_walk.h"

#include <fmt/format.h>

#include <algorithm>

namespace npu::kernels {

using sdk::Builder;
using sdk::Dim;
using sdk::Region;
using sdk::Value;

namespace {

constexpr int64_t kTileGranule = 1024;  // elements

}  // namespace

int64_t tile_elements(const sim::Machine& machine) {
  constexpr int64_t kElementBytes = 2;  // of the types that most is done in
  const double port = machine.load_bytes_per_cycle() * machine.clock_ghz;
  const double share = machine.hbm.bandwidth_gbps / machine.core.count;
  const double bytes_in_flight = machine.hbm.latency_ns * std::min(port, share);
  const double elements = 2 * bytes_in_flight / load_buffers(machine) / kElementBytes;
  return std::max(kTileElements, static_cast<int64_t>(elements) / kTileGranule * kTileGranule);
}

int64_t tile_capacity(const sim::Machine& machine, int64_t bytes) {
  return tile_capacity(machine, bytes, tile_elements(machine));
}

int64_t tile_capacity(const sim::Machine& machine, int64_t bytes, int64_t most) {
  // What single elements and the rounding of buffers take beside.
  constexpr int64_t kReserve = 4096;
  const int64_t fits = (machine.scratchpad_bytes() - kReserve) / bytes / kTileAlignment;
  return std::clamp(fits * kTileAlignment, kTileAlignment, most);
}

int load_buffers(const sim::Machine& machine) {
  constexpr int64_t kLarge = int64_t{1} << 20;
  return machine.scratchpad_bytes() >= kLarge ? 4 : 2;
}

int64_t target_elements(const sim::Machine& machine, int64_t n, int64_t capacity) {
  const int64_t part = part_of_core(ceil_div(n, machine.core.count), capacity, kSmallTileElements);
  const int64_t whole = ceil_div(part, kTileGranule) * kTileGranule;
  return std::clamp(whole, std::min(kSmallTileElements, capacity), capacity);
}

int64_t part_of_core(int64_t share, int64_t most, int64_t small) {
  constexpr int64_t kOverlapping = 3;
  const int64_t least = ceil_div(share, most);
  return ceil_div(share, std::clamp(share / small, least, std::max(least, kOverlapping)));
}

int64_t even_part(int64_t size, int64_t most) { return ceil_div(size, ceil_div(size, most)); }

namespace {

void count_tiles(const Iteration& nest, Tiling& tiling) {
  for (int d = 0; d < nest.rank; ++d) {
    const int64_t steps = d < kTileDims ? ceil_div(nest.size[d], tiling.tile[d]) : nest.size[d];
    if (d < kTileDims) tiling.tiles[d] = steps;
    tiling.grid *= steps;
  }
}

}  // namespace

Tiling choose_tiling(const Iteration& nest, int64_t elements, int tile_dims) {
  Tiling tiling;
  int64_t room = elements;
  // An outer dimension joins only while the inner ones are whole.
  for (int d = 0; d < std::min(nest.rank, tile_dims) && room > 0; ++d) {
    tiling.tile[d] = even_part(nest.size[d], room);
    if (tiling.tile[d] < nest.size[d]) {
      // Tiles that begin at whole bursts, if they are not too large for that.
      const int64_t whole = ceil_div(tiling.tile[d], kTileAlignment) * kTileAlignment;
      if (d == 0 && whole <= room) tiling.tile[d] = whole;
      break;
    }
    room /= tiling.tile[d];
  }
  count_tiles(nest, tiling);
  return tiling;
}

Tiling tiling_for(const sim::Machine& machine, const Iteration& nest, int64_t capacity,
                  int tile_dims) {
  constexpr double kElementBytes = 4;  // that a core loads for an element, about
  constexpr double kWorthwhile = 0.95;
  const double latency = machine.hbm.latency_ns * machine.clock_ghz;
  const auto cycles = [&](const Tiling& tiling) {
    const int64_t rounds = ceil_div(tiling.grid, machine.core.count);
    const double moving = static_cast<double>(rounds * tiling.elements()) * kElementBytes /
                          machine.load_bytes_per_cycle();
    const auto waits = static_cast<double>(ceil_div(rounds, load_buffers(machine)));
    return std::max(moving, waits * latency);
  };
  int64_t elements = target_elements(machine, nest.numel(), capacity);
  Tiling best = choose_tiling(nest, elements, tile_dims);
  double least = cycles(best);
  while (elements < capacity) {
    elements = std::min(elements * 3 / 2, capacity);
    const Tiling larger = choose_tiling(nest, elements, tile_dims);
    if (cycles(larger) >= kWorthwhile * least) continue;
    least = cycles(larger);
    best = larger;
  }
  return best;
}

Tiling choose_square_tiling(const Iteration& nest, int64_t elements) {
  Tiling tiling;
  int64_t side = 1;
  while (side * side * 4 <= elements) side *= 2;
  tiling.tile[0] = even_part(nest.size[0], side);
  tiling.tile[1] = even_part(nest.size[1], elements / tiling.tile[0]);
  count_tiles(nest, tiling);
  return tiling;
}

TileWalk::TileWalk(Builder& builder, int dims, int tensors, const Options& options)
    : builder_(builder),
      dims_(dims),
      offset_(static_cast<size_t>(tensors), Value(0)),
      stride_(static_cast<size_t>(tensors)) {
  if (dims == 0) {
    locate_linear(options);
  } else {
    locate_strided(options);
  }
}

void TileWalk::locate_linear(const Options& options) {
  const Value n = builder_.integer(options.prefix + "n");
  const Value tile = builder_.integer(options.prefix + "tile");
  const Value start = options.tile_number.value_or(builder_.pid()) * tile;
  extent_[0] = builder_.min(n - start, tile);
  std::fill(offset_.begin(), offset_.end(), start);
}

void TileWalk::locate_strided(const Options& options) {
  const int tensors = static_cast<int>(offset_.size());
  const auto part = [&](int t) { return (options.left_out >> t & 1) == 0; };
  const auto declare = [&](const char* format, auto... numbers) {
    return builder_.integer(options.prefix + fmt::format(fmt::runtime(format), numbers...));
  };
  std::vector<Value> size, tile, count;
  for (int d = 0; d < dims_; ++d) {
    const bool tiled = d < kTileDims;
    size.push_back(declare("size{}", d));
    tile.push_back(tiled ? declare("tile{}", d) : Value(1));
    count.push_back(tiled ? declare("tiles{}", d) : size.back());
  }
  for (int t = 0; t < tensors; ++t) {
    for (int d = 0; part(t) && d < dims_; ++d) {
      stride_[static_cast<size_t>(t)].push_back(declare("stride{}_{}", t, d));
    }
  }
  Value rest = options.tile_number.value_or(builder_.pid());
  for (int d = 0; d < dims_; ++d) {
    const auto i = static_cast<size_t>(d);
    const bool last = d + 1 == dims_;
    const Value index = last ? rest : rest % count[i];
    if (!last) rest = rest / count[i];
    const Value start = index * tile[i];
    for (int t = 0; t < tensors; ++t) {
      if (part(t)) offset_[static_cast<size_t>(t)] = offset(t) + start * stride(t, d);
    }
    if (d < kTileDims) extent_[i] = builder_.min(size[i] - start, tile[i]);
  }
  rows_ = extent_[1] * extent_[2];
}

Value TileWalk::stride(int tensor, int dim) const {
  if (dims_ == 0) return 1;
  if (dim >= dims_) return 0;
  return stride_[static_cast<size_t>(tensor)][static_cast<size_t>(dim)];
}

Region TileWalk::region(int tensor) const { return region(tensor, kUnlimited, kUnlimited); }

Region TileWalk::region(int tensor, const Value& row_limit, const Value& col_limit) const {
  const auto limited = [&](int dim, const Value& limit) {
    return limit.is_constant() ? extent(dim) : builder_.min(extent(dim), limit);
  };
  std::vector<Dim> rows;
  for (int d = std::min(dims_, kTileDims) - 1; d > 0; --d) {
    rows.push_back({limited(d, row_limit), stride(tensor, d)});
  }
  return {std::move(rows), {{limited(0, col_limit), stride(tensor, 0)}}};
}

std::vector<Dim> TileWalk::dims(int tensor, int most) const {
  std::vector<Dim> list;
  for (int d = std::clamp(dims_, 1, most) - 1; d >= 0; --d) {
    list.push_back({extent(d), stride(tensor, d)});
  }
  return list;
}

int walk_dims(const Iteration& nest) {
  if (nest.rank > 1) return nest.rank;
  for (int t = 0; nest.rank == 1 && t < nest.tensors; ++t) {
    if (nest.stride[t][0] != 1) return 1;
  }
  return 0;
}

int64_t pass_walk(Arguments& args, const Iteration& nest, int dims, const sim::Machine& machine,
                  int64_t capacity, int tile_dims) {
  if (dims > 0) {
    return pass_strided_walk(args, nest, tiling_for(machine, nest, capacity, tile_dims));
  }
  const int64_t n = nest.numel();
  return pass_linear_walk(args, n, target_elements(machine, n, capacity));
}

int64_t pass_linear_walk(Arguments& args, int64_t n, int64_t elements) {
  args.integer(n);
  args.integer(elements);
  return ceil_div(n, elements);
}

int64_t pass_strided_walk(Arguments& args, const Iteration& nest, const Tiling& tiling,
                          uint32_t left_out) {
  for (int d = 0; d < nest.rank; ++d) {
    args.integer(nest.size[d]);
    if (d >= kTileDims) continue;
    args.integer(tiling.tile[d]);
    args.integer(tiling.tiles[d]);
  }
  for (int t = 0; t < nest.tensors; ++t) {
    if ((left_out >> t & 1) != 0) continue;
    for (int d = 0; d < nest.rank; ++d) args.integer(nest.stride[t][d]);
  }
  return tiling.grid;
}

}  // namespace npu::kernels

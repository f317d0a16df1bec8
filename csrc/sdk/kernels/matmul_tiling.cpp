#include "csrc/sdk/kernels/matmul_tiling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <unordered_map>

#include "csrc/sdk/kernels/matmul_blocks.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/tuning_cache.h"
#include "sim/timing/durations.h"
#include "sim/timing/hbm.h"
#include "sim/timing/timer.h"

namespace npu::kernels {
namespace {

constexpr int kMostBuffers = 8;
// How many tilings the timer compares, and for how many tile instructions in all: what bounds the
// time of a search.
constexpr size_t kMostSimulated = 10;
constexpr double kMostInstructions = 20000;
constexpr int64_t kMostPartialBytes = int64_t{64} << 20;  // of HBM

// The cost model. It knows how much engines, ports and the memory have to do and what cannot
// overlap: the first loads, the last stores and, where accumulators are single, the epilogues.
class Model {
 public:
  Model(const sim::Machine& machine, const MatmulProblem& problem)
      : machine_(machine),
        p_(problem),
        hbm_(machine),
        bytes_(matmul_footprint(problem.form)),
        partial_bytes_(matmul_footprint(problem.form.partial())),
        element_(sim::size_of(problem.form.type)),
        stream_(machine.hbm_bytes_per_cycle() * machine.hbm_stream_efficiency()),
        load_(std::min(machine.noc.bytes_per_cycle,
                       machine.dma.load_queues * machine.dma.bytes_per_cycle)),
        store_(std::min(machine.noc.bytes_per_cycle,
                        machine.dma.store_queues * machine.dma.bytes_per_cycle)),
        latency_(machine.hbm.latency_ns * machine.clock_ghz) {}

  bool fits(const MatmulTiling& t) const { return spare(t) >= 0; }

  // Gives the operands as many buffers as fit. False if two do not.
  bool set_buffers(MatmulTiling& t) const {
    t.load_buffers = 2;
    const int64_t left = spare(t);
    if (left < 0) return false;
    const int64_t more = left / round_bytes(t);
    t.load_buffers = static_cast<int>(std::min<int64_t>(kMostBuffers, 2 + more));
    return true;
  }

  double cycles(const MatmulTiling& t) const;
  // No tiling of this output tile takes less: what engines and ports do for it, and with the
  // cluster what the memory does.
  double least_cycles(const MatmulTiling& t) const;
  double least_memory_cycles(const MatmulTiling& t) const;
  double instructions(const MatmulTiling& t) const {
    return static_cast<double>(matmul_grid(p_, t) * ceil_div(depth(t), t.k)) * (1 + 2 * t.chunks());
  }

 private:
  static constexpr int64_t kAlignment = 64;        // of every buffer
  static constexpr double kInstructionCycles = 4;  // issue of a tile instruction and its scalars

  // Of one transfer.
  struct Cost {
    double bytes = 0;   // that pass the port
    double memory = 0;  // cycles of the whole memory
  };

  int64_t round_bytes(const MatmulTiling& t) const {
    return (t.m * t.k + t.k * t.chunk * t.chunks()) * element_ + kAlignment * (1 + t.chunks());
  }
  int64_t spare(const MatmulTiling& t) const;
  int64_t depth(const MatmulTiling& t) const {
    return t.splits == 1 ? p_.k : std::min(p_.k, matmul_split_length(machine_, p_.k, t.splits));
  }
  double busy(int64_t m, int64_t k, int64_t n) const {
    return static_cast<double>(sim::matrix_duration(machine_, p_.form.type, m, k, n).occupancy);
  }
  Cost move(int64_t lines, int64_t run, int64_t stride, int size, bool writes) const;
  double combine_cycles(const MatmulTiling& t) const;

  const sim::Machine& machine_;
  const MatmulProblem& p_;
  const sim::Hbm hbm_;
  const MatmulFootprint bytes_;
  const MatmulFootprint partial_bytes_;
  const int element_;
  const double stream_;  // bytes a cycle of the memory at best, and of a core's ports
  const double load_;
  const double store_;
  const double latency_;
};

int64_t Model::spare(const MatmulTiling& t) const {
  const MatmulFootprint& bytes = t.splits > 1 ? partial_bytes_ : bytes_;
  const int64_t outputs = t.m * t.chunk;
  const int64_t kept = outputs * t.chunks() * bytes.accumulator * t.accumulators;
  const int64_t epilogue = outputs * (bytes.result + (t.chunks() > 1 ? bytes.next_result : 0)) +
                           t.m * bytes.row + t.chunk * t.chunks() * bytes.column;
  const int64_t buffers = int64_t{t.accumulators + 2} * t.chunks() + 16;
  return machine_.scratchpad_bytes() - kept - epilogue - t.load_buffers * round_bytes(t) -
         kAlignment * buffers;
}

// `lines` runs of `run` elements of `size` bytes, `stride` elements apart.
Model::Cost Model::move(int64_t lines, int64_t run, int64_t stride, int size, bool writes) const {
  sim::Footprint footprint{.run = run * size};
  if (stride == run) {
    footprint.run *= lines;
  } else {
    footprint.dims = 1;
    footprint.size[0] = lines;
    footprint.stride[0] = stride * size;
  }
  const sim::HbmAccess access = hbm_.price(footprint, !writes, writes);
  return {static_cast<double>(access.bytes),
          static_cast<double>(access.ticks + access.turn) / static_cast<double>(sim::to_ticks(1))};
}

double Model::least_cycles(const MatmulTiling& t) const {
  const auto turns = static_cast<double>(ceil_div(matmul_grid(p_, t), machine_.core.count));
  const int64_t rows = std::min(t.m, p_.m);
  const int64_t cols = std::min(t.n, p_.n);
  const int64_t k = depth(t);
  const double port = static_cast<double>(k * (rows + cols) * element_) / load_;
  const double least = turns * std::max(busy(rows, k, cols), port);
  return t.splits > 1 ? least + combine_cycles(t) : least;
}

double Model::least_memory_cycles(const MatmulTiling& t) const {
  const auto a_loads = static_cast<double>(ceil_div(p_.n, t.n * t.cluster_cols));
  const auto b_loads = static_cast<double>(ceil_div(p_.m, t.m * t.cluster_rows));
  const double moved = static_cast<double>(p_.batch * p_.k * element_) *
                       (static_cast<double>(p_.m) * a_loads + static_cast<double>(p_.n) * b_loads);
  return moved / stream_;
}

double Model::cycles(const MatmulTiling& t) const {
  const MatmulForm& form = p_.form;
  const bool split = t.splits > 1;
  const int64_t rows = std::min(t.m, p_.m);
  const int64_t cols = std::min(t.n, p_.n);
  const int64_t chunk = std::min(t.chunk, cols);
  const auto chunks = static_cast<double>(ceil_div(cols, chunk));
  const int64_t all_k = depth(t);
  const int64_t k = std::min(t.k, std::max<int64_t>(all_k, 1));
  const auto steps = static_cast<double>(all_k) / static_cast<double>(k);
  const int64_t grid = matmul_grid(p_, t);
  const auto turns = static_cast<double>(ceil_div(grid, machine_.core.count));
  const auto active = static_cast<double>(std::min<int64_t>(grid, machine_.core.count));
  const auto parts = static_cast<double>(p_.batch * t.splits);
  const double row_tiles = static_cast<double>(p_.m) / static_cast<double>(rows);
  const double col_tiles = static_cast<double>(p_.n) / static_cast<double>(cols);

  // A step of k: products, and loads at the core's port and at the memory.
  const double chunk_busy = busy(rows, k, chunk);
  const double compute = chunk_busy * static_cast<double>(cols / chunk) +
                         (cols % chunk == 0 ? 0 : busy(rows, k, cols % chunk));
  const Cost a = form.transpose_a ? move(k, rows, p_.m, element_, false)
                                  : move(rows, k, p_.k, element_, false);
  const Cost b = form.transpose_b ? move(chunk, k, p_.k, element_, false)
                                  : move(k, chunk, p_.n, element_, false);
  const double columns = static_cast<double>(cols) / static_cast<double>(chunk);
  const double loaded = a.bytes + b.bytes * columns;
  const double queue =
      (machine_.dma.setup_cycles * (1 + chunks) + loaded / machine_.dma.bytes_per_cycle) /
      machine_.dma.load_queues;
  const double port = std::max(loaded / load_, queue);
  const auto a_sharers =
      static_cast<double>(std::min<int64_t>(t.cluster_cols, ceil_div(p_.n, t.n)));
  const auto b_sharers =
      static_cast<double>(std::min<int64_t>(t.cluster_rows, ceil_div(p_.m, t.m)));
  const double memory = a.memory / a_sharers + b.memory * columns / b_sharers;
  const double issue = (1 + 2 * chunks) * kInstructionCycles;
  // A buffer is taken from the start of its load to the end of the product that reads it.
  const double held =
      latency_ + std::max(port, memory * active) + chunk_busy + machine_.matrix.rows;
  const double step = std::max({compute, port, issue, held / t.load_buffers});
  const double loads =
      parts * steps *
      (a.memory * row_tiles * static_cast<double>(ceil_div(p_.n, t.n * t.cluster_cols)) +
       b.memory * static_cast<double>(p_.n) / static_cast<double>(chunk) *
           static_cast<double>(ceil_div(p_.m, t.m * t.cluster_rows)));

  // Results.
  const MatmulFootprint& bytes = split ? partial_bytes_ : bytes_;
  const int out_size = split ? bytes.accumulator : sim::size_of(form.out_type);
  const Cost result = move(rows, chunk, p_.n, out_size, true);
  const double stores = parts * row_tiles * col_tiles * columns * result.memory;
  const double last_stores =
      std::min(stores, columns * std::max(result.memory * active, result.bytes / store_));
  const double last_chunk = std::max(result.memory * active, result.bytes / store_);
  const double passes = bytes.result == 0 ? 0 : 1 + bytes.result / 8.0;
  const double epilogue = static_cast<double>(rows * chunk) * passes / machine_.vector.lanes;
  const double drain = static_cast<double>(
      sim::matrix_duration(machine_, form.type, rows, machine_.matrix.rows, machine_.matrix.cols)
          .latency);
  const double kept = epilogue + drain + (bytes.result == 0 ? last_chunk + latency_ : 0);
  const double others = compute - compute / chunks;
  const double bubble = t.accumulators > 1 ? 0 : std::max(0.0, kept - others);

  const double fill =
      latency_ + machine_.dma.setup_cycles +
      std::max((a.bytes + b.bytes) / load_, (a.memory / a_sharers + b.memory / b_sharers) * active);
  const double tail = std::max(last_stores - others, last_chunk) + epilogue + drain + latency_;
  const double run = std::max(turns * (steps * step + bubble), loads + stores - last_stores);
  return fill + run + tail + (split ? combine_cycles(t) : 0);
}

double Model::combine_cycles(const MatmulTiling& t) const {
  const auto outputs = static_cast<double>(p_.batch * p_.m * p_.n);
  const double moved = outputs * (t.splits * bytes_.accumulator + sim::size_of(p_.form.out_type));
  const double lanes = static_cast<double>(machine_.vector.lanes) * machine_.core.count;
  return 2 * latency_ + moved / stream_ + outputs * (t.splits + 1) / lanes + 64;
}

void add_side(std::vector<int64_t>& sides, int64_t side, int64_t extent, int64_t smallest) {
  if (side < smallest || (side >= 2 * extent && side > smallest)) return;
  if (std::ranges::find(sides, side) == sides.end()) sides.push_back(side);
}

// Powers of two below the array's width, whole array widths beyond, and what splits the extent
// evenly.
std::vector<int64_t> candidate_sides(int64_t extent, int64_t array, int64_t unit, int parts) {
  constexpr int64_t kSmallest = 8;
  constexpr std::array<int64_t, 14> kMultiples = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32};
  std::vector<int64_t> sides;
  for (int64_t side = kSmallest; side < array; side *= 2) {
    add_side(sides, side, extent, kSmallest);
  }
  for (const int64_t multiple : kMultiples) {
    add_side(sides, multiple * array, extent, kSmallest);
  }
  for (int part = 1; part <= parts; ++part) {
    const int64_t side = ceil_div(ceil_div(extent, part), unit) * unit;
    if (side >= array) add_side(sides, side, extent, kSmallest);
  }
  return sides;
}

std::vector<int64_t> candidate_depths(int64_t k, int64_t array) {
  constexpr int64_t kSmallest = 16;
  std::vector<int64_t> depths;
  for (int64_t depth = kSmallest; depth < array; depth *= 2) add_side(depths, depth, k, kSmallest);
  for (int64_t multiple = 1; multiple <= 4 || multiple * array <= 128; multiple *= 2) {
    add_side(depths, multiple * array, k, kSmallest);
  }
  return depths;
}

// Widths of chunks: the tile's, and its halves in whole array widths.
std::vector<int64_t> candidate_chunks(int64_t n, int64_t array) {
  std::vector<int64_t> widths = {n};
  for (int64_t parts = 2; parts <= kMostChunks; parts *= 2) {
    const int64_t width = ceil_div(ceil_div(n, parts), array) * array;
    if (width < widths.back()) widths.push_back(width);
  }
  return widths;
}

struct Ranked {
  double cycles = std::numeric_limits<double>::infinity();
  MatmulTiling tiling;
};

// The best tiling of this output tile. Deep steps and wide chunks come first: they need fewer
// instructions, so others have to be better by more than nothing.
Ranked best_of_tile(const Model& model, MatmulTiling tiling, std::span<const int64_t> depths,
                    int64_t array_width) {
  constexpr double kWorthwhile = 0.997;
  Ranked best;
  for (const int64_t chunk : candidate_chunks(tiling.n, array_width)) {
    tiling.chunk = chunk;
    for (const int64_t k : depths) {
      tiling.k = k;
      for (tiling.accumulators = 1; tiling.accumulators <= 2; ++tiling.accumulators) {
        if (tiling.accumulators > 1 && tiling.chunks() > 1) break;
        if (!model.set_buffers(tiling)) break;
        const double cycles = model.cycles(tiling);
        if (cycles < best.cycles * kWorthwhile) best = {cycles, tiling};
      }
    }
  }
  return best;
}

// The smallest cluster that takes the memory's load off: where ports or engines have more to do, a
// smaller one does as well, and its programs wait for each other less.
void set_cluster(const Model& model, int cores, MatmulTiling& tile) {
  constexpr double kSlack = 1.25;  // of the memory over the others
  constexpr double kWorthwhile = 0.99;
  double best = std::numeric_limits<double>::infinity();
  MatmulTiling chosen = tile;
  for (int size = 1; size <= cores; ++size) {
    if (cores % size != 0) continue;
    for (int rows = 1; rows <= size; ++rows) {
      if (size % rows != 0) continue;
      tile.cluster_rows = rows;
      tile.cluster_cols = size / rows;
      const double cycles =
          std::max(model.least_cycles(tile), kSlack * model.least_memory_cycles(tile));
      if (cycles < best * kWorthwhile) {
        best = cycles;
        chosen = tile;
      }
    }
  }
  tile = chosen;
}

// The best tilings of the most promising output tiles, best first; none where none is below
// `limit` cycles.
std::vector<Ranked> rank(const Model& model, const sim::Machine& machine, const MatmulProblem& p,
                         int splits, double limit) {
  constexpr int64_t kRowUnit = 8;
  constexpr int kParts = 16;
  constexpr double kClose = 1.1;  // tiles whose bound is this near the best are looked at
  const int64_t width = machine.matrix.cols;
  const int64_t depth = splits == 1 ? p.k : matmul_split_length(machine, p.k, splits);
  std::vector<int64_t> depths = candidate_depths(depth, machine.matrix.rows);
  std::ranges::reverse(depths);

  std::vector<Ranked> tiles;
  const std::vector<int64_t> columns = candidate_sides(p.n, width, width, kParts);
  for (const int64_t m : candidate_sides(p.m, machine.matrix.rows, kRowUnit, kParts)) {
    for (const int64_t n : columns) {
      const MatmulTiling tile{.m = m, .n = n, .splits = splits};
      tiles.push_back({model.least_cycles(tile), tile});
    }
  }
  std::ranges::stable_sort(tiles, {}, &Ranked::cycles);
  std::vector<Ranked> ranked;
  for (Ranked& tile : tiles) {
    if (tile.cycles > limit * kClose) break;
    set_cluster(model, machine.core.count, tile.tiling);
    if (model.least_memory_cycles(tile.tiling) > limit * kClose) continue;
    const Ranked best = best_of_tile(model, tile.tiling, depths, width);
    if (best.tiling.k == 0) continue;
    limit = std::min(limit, best.cycles);
    ranked.push_back(best);
  }
  std::ranges::stable_sort(ranked, {}, &Ranked::cycles);
  return ranked;
}

}  // namespace

bool matmul_fits(const sim::Machine& machine, const MatmulForm& form, const MatmulTiling& tiling) {
  return Model(machine, form.problem(1, 1, 1, 1)).fits(tiling);
}

double estimate_matmul(const sim::Machine& machine, const MatmulProblem& problem,
                       const MatmulTiling& tiling) {
  return Model(machine, problem).cycles(tiling);
}

sim::Timing simulate_matmul(const sim::Machine& machine, const MatmulProblem& p,
                            const MatmulTiling& tiling) {
  const auto buffer = [](int64_t bytes) {
    return sim::Arg::pointer({.data = nullptr, .lower = 0, .upper = bytes, .address = 0});
  };
  std::vector<sim::Arg> args;
  const auto integers = [&](std::initializer_list<int64_t> values) {
    for (const int64_t value : values) args.push_back(sim::Arg::integer(value));
  };
  const auto strides = [&](int64_t rows, int64_t cols, bool transposed) {
    integers({rows * cols, transposed ? 1 : cols, transposed ? rows : 1});
  };
  const auto bias_strides = [&] {
    switch (p.form.bias) {
      case MatmulForm::Bias::none:
        return;
      case MatmulForm::Bias::row:
        return integers({0, 0, 1});
      case MatmulForm::Bias::column:
        return integers({0, 1, 0});
      case MatmulForm::Bias::full:
        return integers({p.m * p.n, p.n, 1});
    }
  };
  const auto scalars = [&] {
    if (!p.form.scaled) return;
    const bool reals = sim::is_float(p.form.accumulator());
    for (int i = 0; i < 2; ++i) {
      args.push_back(reals ? sim::Arg::real(1) : sim::Arg::integer(1));
    }
  };
  const auto run = [&](const sim::Program& program, int64_t grid) {
    const sim::Launch launch{&program, grid, std::move(args)};
    args.clear();
    return sim::Timer(machine).simulate(launch);
  };
  const bool split = tiling.splits > 1;
  const bool has_bias = p.form.bias != MatmulForm::Bias::none;
  const int64_t element = sim::size_of(p.form.type);
  const int64_t outputs = p.batch * p.m * p.n;
  const sim::Arg out = buffer(outputs * sim::size_of(p.form.out_type));
  const sim::Arg bias = buffer(outputs * sim::size_of(p.form.bias_type));
  const sim::Arg partial = buffer(outputs * tiling.splits * sim::size_of(p.form.accumulator()));

  args = {split ? partial : out, buffer(p.batch * p.m * p.k * element),
          buffer(p.batch * p.k * p.n * element)};
  if (has_bias && !split) args.push_back(bias);
  integers({p.m, p.n, p.k});
  strides(p.m, p.n, false);
  strides(p.m, p.k, p.form.transpose_a);
  strides(p.k, p.n, p.form.transpose_b);
  if (!split) {
    bias_strides();
    scalars();
    return run(build_matmul(machine, p.form, tiling), matmul_grid(p, tiling));
  }
  integers({matmul_split_length(machine, p.k, tiling.splits), p.batch});
  sim::Timing timing = run(build_matmul(machine, p.form, tiling), matmul_grid(p, tiling));

  args = {out, partial};
  if (has_bias) args.push_back(bias);
  const int64_t columns = matmul_combine_columns(machine, p, tiling.splits);
  integers({tiling.splits, p.batch * p.m, p.m, p.n, columns});
  strides(p.m, p.n, false);
  bias_strides();
  scalars();
  const int64_t grid = p.batch * p.m * ceil_div(p.n, columns);
  const sim::Timing sums = run(build_matmul_combine(machine, p.form), grid);
  timing.cycles += sums.cycles;
  timing.counters += sums.counters;
  for (size_t i = 0; i < timing.busy.size(); ++i) {
    timing.busy[i] += sums.busy[i];
    timing.stall[i] += sums.stall[i];
  }
  timing.cell_cycles += sums.cell_cycles;
  timing.hbm_busy_cycles += sums.hbm_busy_cycles;
  return timing;
}

MatmulTiling search_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem) {
  const Model model(machine, problem);
  if (machine.compiler.block_traffic > 0) {
    return largest_matmul_blocks(machine, problem,
                                 [&](const MatmulTiling& tiling) { return model.fits(tiling); });
  }
  std::vector<Ranked> ranked =
      rank(model, machine, problem, 1, std::numeric_limits<double>::infinity());
  if (ranked.empty()) return {};

  const int64_t outputs = problem.batch * problem.m * problem.n;
  const int64_t sum = sim::size_of(problem.form.accumulator());
  int64_t before = 1;
  for (int most = 2; most <= machine.core.count && most <= problem.k; most *= 2) {
    const int64_t length = matmul_split_length(machine, problem.k, most);
    const auto splits = static_cast<int>(ceil_div(problem.k, length));
    if (outputs * sum * splits > kMostPartialBytes) break;
    if (splits == before) continue;
    before = splits;
    const std::vector<Ranked> more = rank(model, machine, problem, splits, ranked[0].cycles);
    ranked.insert(ranked.end(), more.begin(), more.end());
    std::ranges::stable_sort(ranked, {}, &Ranked::cycles);
  }

  size_t count = 0;
  double instructions = 0;
  while (count < ranked.size() && count < kMostSimulated) {
    instructions += model.instructions(ranked[count].tiling);
    if (instructions > kMostInstructions) break;
    ++count;
  }
  size_t best = 0;
  if (count > 1) {
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (size_t i = 0; i < count; ++i) {
      const uint64_t cycles = simulate_matmul(machine, problem, ranked[i].tiling).cycles;
      if (cycles < least) {
        least = cycles;
        best = i;
      }
    }
  }
  return ranked[best].tiling;
}

namespace {

constexpr size_t kKeySize = 7;
using Key = std::array<int64_t, kKeySize>;  // hash of the machine, then the problem

struct KeyHash {
  size_t operator()(const Key& key) const {
    size_t hash = 0;
    for (const int64_t value : key) {
      hash = (hash ^ static_cast<size_t>(value)) * 0x9E3779B97F4A7C15ull;
      hash ^= hash >> 32;
    }
    return hash;
  }
};

struct Choices {
  std::mutex mutex;
  sim::Machine machine;  // the last one asked about, and its hash
  int64_t machine_hash = 0;
  std::unordered_map<Key, MatmulTiling, KeyHash> remembered;
  sdk::TuningCache cache{sdk::process_environment().cache_dir, "gemm", sdk::build_id()};
};

constexpr size_t kTilingSize = 9;
std::array<int64_t, kTilingSize> numbers_of(const MatmulTiling& t) {
  return {
      t.m,           t.n, t.k, t.chunk, t.load_buffers, t.accumulators, t.splits, t.cluster_rows,
      t.cluster_cols};
}

MatmulTiling tiling_of(const std::vector<int64_t>& v) {
  const auto count = [&](size_t i) { return static_cast<int>(v[i]); };
  return {v[0], v[1], v[2], v[3], count(4), count(5), count(6), count(7), count(8)};
}

}  // namespace

MatmulTiling choose_matmul_tiling(const sim::Machine& machine, const MatmulProblem& p) {
  static auto* const choices = new Choices;
  const std::lock_guard lock(choices->mutex);
  if (choices->machine != machine) {
    choices->machine = machine;
    choices->machine_hash = static_cast<int64_t>(sdk::machine_hash(machine));
  }
  const auto [types, forms] = p.form.code();
  const Key key = {choices->machine_hash, p.batch, p.m, p.n, p.k, types, forms};
  const auto [entry, inserted] = choices->remembered.try_emplace(key);
  MatmulTiling& tiling = entry->second;
  if (!inserted) return tiling;
  const auto found = choices->cache.find(key);
  if (found && found->size() == kTilingSize) {
    tiling = tiling_of(*found);
  } else {
    tiling = search_matmul_tiling(machine, p);
    choices->cache.store(key, numbers_of(tiling));
  }
  return tiling;
}

}  // namespace npu::kernels

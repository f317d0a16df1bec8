#include "csrc/sdk/kernels/matmul_tiling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

#include "csrc/sdk/kernels/matmul_blocks.h"
#include "csrc/sdk/kernels/matmul_model.h"
#include "csrc/sdk/kernels/matmul_refinement.h"
#include "csrc/sdk/kernels/matmul_simulation.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "sim/error.h"

namespace npu::kernels {
namespace {

// How many tilings the timer compares, and for how many tile instructions in all: what bounds the
// time of a search.
constexpr size_t kMostSimulated = 10;
constexpr double kMostInstructions = 24000;
// A second start may be slower than what the first one came to by this part of it.
constexpr uint64_t kWorthAnother = 4;
constexpr int64_t kMostPartialBytes = int64_t{64} << 20;  // of HBM

void add_side(std::vector<int64_t>& sides, int64_t side, int64_t extent, int64_t smallest) {
  if (side < smallest || (side >= 2 * extent && side > smallest)) return;
  if (std::ranges::find(sides, side) == sides.end()) sides.push_back(side);
}

// Powers of two below the array's width, whole array widths beyond, and what splits the extent
// evenly, in whole units.
std::vector<int64_t> candidate_sides(int64_t extent, int64_t array, int64_t unit, int parts) {
  // Of many parts those alone that are whole arrays, where the extent is: there are enough of them.
  constexpr int kFewParts = 16;
  const int64_t coarse = extent % array == 0 ? std::max(unit, array) : unit;
  constexpr int64_t kSmallestEven = 32;
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
    const int64_t whole = part <= kFewParts ? unit : coarse;
    const int64_t side = ceil_div(ceil_div(extent, part), whole) * whole;
    if (side >= std::min(array, kSmallestEven)) add_side(sides, side, extent, kSmallest);
  }
  // All that cover the extent make the same programs.
  int64_t covering = std::numeric_limits<int64_t>::max();
  for (const int64_t side : sides) {
    if (side >= extent) covering = std::min(covering, side);
  }
  std::erase_if(sides, [&](int64_t side) { return side > covering; });
  return sides;
}

std::vector<int64_t> candidate_depths(int64_t k, int64_t array) {
  constexpr int kEvenDepths = 3;
  constexpr int64_t kDeep = 128;
  constexpr int64_t kDeepest = 512;  // of k that is split evenly, or not at all
  std::vector<int64_t> depths;
  const auto add = [&](int64_t depth) { add_side(depths, depth, k, kDepthUnit); };
  for (int64_t depth = kDepthUnit; depth < array; depth *= 2) {
    add(depth);
    // Where a deep array's whole depth leaves too little room for a tile's sides.
    if (depth >= kDeep && 3 * depth / 2 < array) add(3 * depth / 2);
  }
  for (int64_t multiple = 1; multiple <= 4 || multiple * array <= 128; ++multiple) {
    // Powers of two, and others where the last step is as deep as the rest.
    const bool is_power = (multiple & (multiple - 1)) == 0;
    if (!is_power && ceil_div(k, array) % multiple != 0) continue;
    add(multiple * array / kDepthUnit * kDepthUnit);
  }
  if (k <= kDeepest) {
    add(k);
    for (int part = 2; part <= kEvenDepths; ++part) {
      add(ceil_div(k, part * kDepthUnit) * kDepthUnit);
    }
  }
  std::ranges::sort(depths, std::greater<>());
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

// The best tilings of this output tile: the best, and behind it those of other widths of chunks,
// between which the model hardly tells. Deep steps and wide chunks come first: they need fewer
// instructions, so others have to be better by more than nothing.
std::vector<Ranked> best_of_tile(const MatmulModel& model, MatmulTiling tiling,
                                 std::span<const int64_t> depths, int64_t array_width) {
  constexpr double kWorthwhile = 0.997;
  constexpr double kAlike = 1.04;
  constexpr double kBehind = 1.02;
  std::vector<Ranked> found;
  for (const int64_t chunk : candidate_chunks(tiling.n, array_width)) {
    tiling.chunk = chunk;
    Ranked best;
    for (const int64_t k : depths) {
      tiling.k = k;
      for (tiling.accumulators = 1; tiling.accumulators <= 2; ++tiling.accumulators) {
        if (tiling.accumulators > 1 && tiling.chunks() > 1) break;
        if (!model.set_buffers(tiling)) break;
        const double cycles = model.cycles(tiling);
        if (cycles < best.cycles * kWorthwhile) best = {cycles, tiling};
      }
    }
    if (best.tiling.k == 0) continue;
    found.push_back(best);
    if (best.cycles < found[0].cycles * kWorthwhile) std::swap(found[0], found.back());
  }
  if (found.empty()) return found;
  const double least = found[0].cycles;
  std::erase_if(found, [&](const Ranked& other) { return other.cycles > least * kAlike; });
  for (size_t i = 1; i < found.size(); ++i) found[i].cycles *= kBehind;
  return found;
}

// Clusters that machines of so many cores may run, the smallest first. Few cores are tried with
// all: where nothing divides them well, it may pay to leave some idle.
std::vector<sim::Cluster> candidate_clusters(int cores) {
  constexpr int kEverySide = 24;
  std::vector<int> sides;
  for (int side = 1; side <= cores; ++side) {
    const bool is_power = (side & (side - 1)) == 0;
    if (side <= kEverySide || cores % side == 0 || is_power) sides.push_back(side);
  }
  std::vector<sim::Cluster> clusters;
  for (const int rows : sides) {
    for (const int cols : sides) {
      if (rows * cols <= cores) clusters.push_back({rows, cols});
    }
  }
  std::ranges::stable_sort(clusters, {}, &sim::Cluster::size);
  return clusters;
}

// The smallest cluster that takes the memory's load off: where ports or engines have more to do, a
// smaller one does as well, and its programs wait for each other less.
void set_cluster(const MatmulModel& model, int cores, std::span<const sim::Cluster> clusters,
                 MatmulTiling& tile) {
  constexpr double kSlack = 1.25;  // of the memory over the others
  constexpr double kWorthwhile = 0.99;
  constexpr double kIdle = 1.03;  // those that leave cores idle must be better by this
  double best = std::numeric_limits<double>::infinity();
  MatmulTiling chosen = tile;
  for (const auto& [rows, cols] : clusters) {
    tile.cluster_rows = rows;
    tile.cluster_cols = cols;
    const double cycles =
        std::max(model.least_cycles(tile), kSlack * model.least_shared_cycles(tile)) *
        (cores % tile.cluster() == 0 ? 1 : kIdle);
    if (cycles < best * kWorthwhile) {
      best = cycles;
      chosen = tile;
    }
  }
  tile = chosen;
}

// The best tilings of the most promising output tiles, best first; none where none is below
// `limit` cycles.
std::vector<Ranked> rank(const MatmulModel& model, const sim::Machine& machine,
                         const MatmulProblem& p, int splits, double limit) {
  constexpr int64_t kRowUnit = 8;
  constexpr int kParts = 32;
  constexpr double kClose = 1.1;  // tiles whose bound is this near the best are looked at
  const int64_t width = machine.matrix.cols;
  const int64_t depth = splits == 1 ? p.k : matmul_split_length(machine, p.k, splits);
  const std::vector<int64_t> depths = candidate_depths(depth, machine.matrix.rows);

  const double sums = splits == 1 ? 0 : model.combine_cycles(splits);
  std::vector<Ranked> tiles;
  // Parts of the columns begin at whole bursts.
  const int64_t burst =
      std::max<int64_t>(machine.dma.burst_bytes / sim::size_of(p.form.type), kRowUnit);
  const std::vector<int64_t> columns = candidate_sides(p.n, width, std::min(burst, width), kParts);
  for (const int64_t m : candidate_sides(p.m, machine.matrix.rows, kRowUnit, kParts)) {
    for (const int64_t n : columns) {
      const MatmulTiling tile{.m = m, .n = n, .splits = splits};
      tiles.push_back({model.least_cycles(tile) + sums, tile});
    }
  }
  std::ranges::stable_sort(tiles, {}, &Ranked::cycles);
  const std::vector<sim::Cluster> clusters =
      candidate_clusters(p.form.groups == MatmulForm::Groups::none ? machine.core.count : 1);
  std::vector<Ranked> ranked;
  for (Ranked& tile : tiles) {
    if (tile.cycles > limit * kClose) break;
    set_cluster(model, machine.core.count, clusters, tile.tiling);
    if (model.least_shared_cycles(tile.tiling) > limit * kClose) continue;
    const std::vector<Ranked> best = best_of_tile(model, tile.tiling, depths, width);
    if (best.empty()) continue;
    limit = std::min(limit, best[0].cycles);
    ranked.insert(ranked.end(), best.begin(), best.end());
  }
  std::ranges::stable_sort(ranked, {}, &Ranked::cycles);
  return ranked;
}

// About how many cycles a product takes that is too large for the timer: it is timed over as many
// rows, or columns of a few rows, as are affordable, and the model says how much longer all of them
// take. Nothing where that would not be like the whole.
std::optional<double> cycles_by_part(const sim::Machine& machine, const MatmulProblem& p,
                                     const MatmulModel& model, const MatmulTiling& tiling) {
  constexpr double kMostInstructions = 3000;
  constexpr int64_t kFewestTurns = 4;  // of a core: else how programs fall to cores decides
  MatmulProblem part = p;
  // Leaves as many blocks of an extent as are affordable, at least one.
  const auto shorten = [&](int64_t MatmulProblem::* extent, int64_t block) {
    part.*extent = std::min(p.*extent, block);
    const double each = MatmulModel(machine, part).instructions(tiling);
    const auto blocks = std::max(1.0, std::floor(kMostInstructions / each));
    part.*extent = std::min(p.*extent, block * static_cast<int64_t>(blocks));
    return each <= kMostInstructions;
  };
  if (!shorten(&MatmulProblem::m, tiling.m * tiling.cluster_rows) &&
      !shorten(&MatmulProblem::n, tiling.n * tiling.cluster_cols)) {
    return std::nullopt;
  }
  if (matmul_grid(part, tiling) < kFewestTurns * machine.cores_in_clusters(tiling.cluster())) {
    return std::nullopt;
  }
  const auto timed = static_cast<double>(simulate_matmul(machine, part, tiling).cycles);
  return timed * model.cycles(tiling) / MatmulModel(machine, part).cycles(tiling);
}

// The fastest of the best candidates by their parts; the model's best where that cannot be timed.
MatmulTiling fastest_by_parts(const sim::Machine& machine, const MatmulProblem& p,
                              const MatmulModel& model, std::span<const Ranked> ranked) {
  constexpr size_t kMostTimed = 8;
  const std::optional<double> first = cycles_by_part(machine, p, model, ranked[0].tiling);
  if (!first) return ranked[0].tiling;
  Ranked best{*first, ranked[0].tiling};
  for (size_t i = 1; i < std::min(ranked.size(), kMostTimed); ++i) {
    const std::optional<double> cycles = cycles_by_part(machine, p, model, ranked[i].tiling);
    if (cycles && *cycles < best.cycles) best = {*cycles, ranked[i].tiling};
  }
  return best.tiling;
}

}  // namespace

bool matmul_fits(const sim::Machine& machine, const MatmulForm& form, const MatmulTiling& tiling) {
  return MatmulModel(machine, form.problem(1, 1, 1, 1)).fits(tiling);
}

MatmulTiling search_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem) {
  const MatmulModel model(machine, problem);
  if (machine.compiler.block_traffic > 0) {
    const auto blocks = largest_matmul_blocks(
        machine, problem, [&](const MatmulTiling& tiling) { return model.fits(tiling); });
    if (blocks) return *blocks;
  }
  std::vector<Ranked> ranked =
      rank(model, machine, problem, 1, std::numeric_limits<double>::infinity());
  if (ranked.empty()) {
    throw sim::MachineError(
        sim::ErrorKind::kScratchpadOverflow,
        fmt::format("no tiles of a matrix product of type {} fit the {} bytes of scratchpad of "
                    "machine '{}'",
                    sim::name(problem.form.type), machine.scratchpad_bytes(), machine.name));
  }

  const int64_t outputs = problem.batch * problem.m * problem.n;
  const int64_t sum = sim::size_of(problem.form.accumulator());
  int64_t before = 1;
  const bool may_split = problem.form.groups == MatmulForm::Groups::none;
  for (int most = 2; may_split && most <= machine.core.count && most <= problem.k; most *= 2) {
    const int64_t length = matmul_split_length(machine, problem.k, most);
    const auto splits = static_cast<int>(ceil_div(problem.k, length));
    if (outputs * sum * splits > kMostPartialBytes) break;
    if (splits == before) continue;
    before = splits;
    const std::vector<Ranked> more = rank(model, machine, problem, splits, ranked[0].cycles);
    ranked.insert(ranked.end(), more.begin(), more.end());
    std::ranges::stable_sort(ranked, {}, &Ranked::cycles);
  }

  std::vector<MatmulTiling> close;
  double instructions = 0;
  for (const Ranked& candidate : ranked) {
    instructions += model.instructions(candidate.tiling);
    if (close.size() == kMostSimulated || instructions > kMostInstructions) break;
    close.push_back(candidate.tiling);
  }
  MatmulSimulation simulation(machine, problem);
  MatmulRefinement refinement(machine, problem, model, simulation, close);
  if (close.empty() || (close.size() == 1 && !refinement.affords(close[0]))) {
    return fastest_by_parts(machine, problem, model, ranked);
  }
  TimedTiling best{{}, std::numeric_limits<uint64_t>::max()};
  for (const MatmulTiling& tiling : close) {
    if (const auto timing = simulation.below(best.cycles, tiling)) best = {tiling, timing->cycles};
  }
  const MatmulTiling first = best.tiling;
  best = refinement.from(best);
  // Of small products there are several good tilings with no single step between them. The model's
  // best with other sides may lead to another.
  const auto second = std::ranges::find_if(
      close, [&](const MatmulTiling& t) { return t.m != first.m || t.n != first.n; });
  if (second == close.end() || !refinement.affords(*second)) return best.tiling;
  const auto timing = simulation.below(best.cycles + best.cycles / kWorthAnother, *second);
  if (!timing) return best.tiling;
  const TimedTiling other = refinement.from({*second, timing->cycles});
  return other.cycles < best.cycles ? other.tiling : best.tiling;
}

namespace {

std::array<int64_t, TilingChoices::kSize> numbers_of(const MatmulTiling& t) {
  return {
      t.m,           t.n, t.k, t.chunk, t.load_buffers, t.accumulators, t.splits, t.cluster_rows,
      t.cluster_cols};
}

MatmulTiling tiling_of(const std::array<int64_t, TilingChoices::kSize>& v) {
  const auto count = [&](size_t i) { return static_cast<int>(v[i]); };
  return {v[0], v[1], v[2], v[3], count(4), count(5), count(6), count(7), count(8)};
}

}  // namespace

MatmulTiling TilingChoices::get(const sim::Machine& machine, const MatmulProblem& p,
                                const std::function<MatmulTiling()>& search) {
  const auto [types, forms] = p.form.code();
  return tiling_of(choices_.get(machine, {p.batch, p.m, p.n, p.k, types, forms},
                                [&] { return numbers_of(search()); }));
}

MatmulTiling choose_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem) {
  static auto* const choices = new TilingChoices("gemm");
  return choices->get(machine, problem, [&] { return search_matmul_tiling(machine, problem); });
}

}  // namespace npu::kernels

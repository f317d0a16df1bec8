#include "csrc/sdk/kernels/matmul_refinement.h"

#include <algorithm>
#include <array>
#include <vector>

#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {
namespace {

// How many tilings are simulated from a start, and for how many tile instructions.
constexpr int kMostSimulated = 32;
constexpr double kMostInstructions = 6000;

constexpr int64_t kSmallestSide = 8;

class Neighbours {
 public:
  Neighbours(const sim::Machine& machine, const MatmulProblem& problem, const MatmulModel& model,
             std::vector<MatmulTiling>& seen)
      : machine_(machine), p_(problem), model_(model), seen_(seen) {}

  // Tilings that differ from `t` in one thing and have not been seen; from now on they have.
  std::vector<MatmulTiling> of(const MatmulTiling& t) {
    found_.clear();
    depths(t);
    const auto with = [&](auto change) {
      MatmulTiling other = t;
      change(other);
      add(other);
    };
    with([](MatmulTiling& o) { o.accumulators = 3 - o.accumulators; });
    for (const int64_t m : sides(p_.m, t.m, kSmallestSide)) {
      with([&](MatmulTiling& o) { o.m = m; });
    }
    for (const int64_t n : sides(p_.n, t.n, std::min<int64_t>(t.n, machine_.matrix.cols))) {
      with([&](MatmulTiling& o) { o.chunk = std::min(o.chunk, o.n = n); });
      if (t.chunk == t.n && n > t.n) with([&](MatmulTiling& o) { o.chunk = o.n = n; });
    }
    if (t.chunk > kSmallestSide)
      with([](MatmulTiling& o) { o.chunk = half(o.chunk, kSmallestSide); });
    if (t.chunk < t.n) with([](MatmulTiling& o) { o.chunk = std::min(o.n, o.chunk * 2); });
    if (p_.form.groups == MatmulForm::Groups::none) clusters(t);
    return found_;
  }

 private:
  // In whole units.
  static int64_t half(int64_t size, int64_t unit) { return ceil_div(size, 2 * unit) * unit; }

  // Even splits of the extent into about as many parts, half and twice the side, and the next
  // sides; all in whole units.
  static std::array<int64_t, 7> sides(int64_t extent, int64_t side, int64_t unit) {
    const auto even = [&](int64_t parts) {
      return parts == 0 ? side : ceil_div(ceil_div(extent, parts), unit) * unit;
    };
    const int64_t parts = ceil_div(extent, side);
    return {even(parts),
            even(parts + 1),
            even(parts - 1),
            half(side, kSmallestSide),
            side < extent ? 2 * side : side,
            side > unit ? side - unit : side,
            side < extent ? side + unit : side};
  }

  void clusters(const MatmulTiling& t) {
    const auto cluster = [&](int rows, int cols) {
      if (rows * cols > machine_.core.count) return;
      MatmulTiling other = t;
      other.cluster_rows = rows;
      other.cluster_cols = cols;
      add(other);
    };
    const bool wider = t.cluster_cols < ceil_div(p_.n, t.n);
    const bool taller = t.cluster_rows < ceil_div(p_.m, t.m);
    if (wider) cluster(t.cluster_rows, t.cluster_cols * 2);
    if (taller) cluster(t.cluster_rows * 2, t.cluster_cols);
    if (wider && taller) cluster(t.cluster_rows * 2, t.cluster_cols * 2);
    if (t.cluster_cols % 2 == 0) cluster(t.cluster_rows, t.cluster_cols / 2);
    if (t.cluster_rows % 2 == 0) cluster(t.cluster_rows / 2, t.cluster_cols);
  }

  // All of k, too: rows that a load takes whole need no bursts of their own.
  void depths(const MatmulTiling& t) {
    const int64_t all = t.splits == 1 ? p_.k : matmul_split_length(machine_, p_.k, t.splits);
    if (all == 0) return;
    const int64_t even = ceil_div(all, ceil_div(all, t.k) * kDepthUnit) * kDepthUnit;
    for (const int64_t k : {t.k * 2, half(t.k, kDepthUnit), even, all}) {
      if (k > all) continue;
      MatmulTiling other = t;
      other.k = k;
      add(other);
    }
  }

  void add(MatmulTiling t) {
    if (t.chunks() > kMostChunks) return;
    if (t.chunks() > 1) t.accumulators = 1;
    if (!model_.set_buffers(t) || std::ranges::find(seen_, t) != seen_.end()) return;
    seen_.push_back(t);
    found_.push_back(t);
  }

  const sim::Machine& machine_;
  const MatmulProblem& p_;
  const MatmulModel& model_;
  std::vector<MatmulTiling>& seen_;
  std::vector<MatmulTiling> found_;
};

}  // namespace

MatmulRefinement::MatmulRefinement(const sim::Machine& machine, const MatmulProblem& problem,
                                   const MatmulModel& model, MatmulSimulation& simulation,
                                   std::span<const MatmulTiling> known)
    : machine_(machine),
      p_(problem),
      model_(model),
      simulation_(simulation),
      seen_(known.begin(), known.end()) {}

bool MatmulRefinement::affords(const MatmulTiling& tiling) const {
  return model_.instructions(tiling) <= kMostInstructions;
}

TimedTiling MatmulRefinement::from(TimedTiling start) {
  Neighbours neighbours(machine_, p_, model_, seen_);
  TimedTiling best = start;
  int simulated = 0;
  double instructions = 0;
  for (bool better = true; better;) {
    better = false;
    for (const MatmulTiling& tiling : neighbours.of(best.tiling)) {
      instructions += model_.instructions(tiling);
      if (++simulated > kMostSimulated || instructions > kMostInstructions) return best;
      if (const auto timing = simulation_.below(best.cycles, tiling)) {
        best = {tiling, timing->cycles};
        better = true;
      }
    }
  }
  return best;
}

}  // namespace npu::kernels

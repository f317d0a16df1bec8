#include "csrc/sdk/kernels/matmul_blocks.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

namespace npu::kernels {
namespace {

constexpr int64_t kSmallestSide = 8;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The extent in one part, in two even parts, three and so on, each rounded up to whole units; an
// extent below a unit only as a whole.
std::vector<int64_t> even_parts(int64_t extent, int64_t unit) {
  const int64_t units = ceil_div(extent, unit);
  std::vector<int64_t> sides;
  for (int64_t parts = 1; parts <= units; ++parts) {
    const int64_t side = ceil_div(units, parts) * unit;
    if (sides.empty() || side < sides.back()) sides.push_back(side);
  }
  sides.front() = std::min(sides.front(), ceil_div(extent, kSmallestSide) * kSmallestSide);
  return sides;
}

}  // namespace

std::optional<MatmulTiling> largest_matmul_blocks(
    const sim::Machine& machine, const MatmulProblem& p,
    const std::function<bool(const MatmulTiling&)>& fits) {
  const int64_t depth = std::max<int64_t>(p.k, 1);
  const auto cells = static_cast<double>(int64_t{machine.matrix.rows} * machine.matrix.cols);
  const double arithmetic = static_cast<double>(p.m * p.n) * static_cast<double>(depth) /
                            (cells * machine.matrix_rate(p.form.type));
  // Cycles of the memory where operands are read this often.
  const auto moving = [&](int64_t a_times, int64_t b_times) {
    const auto loaded = static_cast<double>(depth * (p.m * a_times + p.n * b_times));
    const auto stored = static_cast<double>(p.m * p.n);
    return (loaded * sim::size_of(p.form.type) + stored * sim::size_of(p.form.out_type)) /
           machine.hbm_bytes_per_cycle();
  };
  const double most_moving = machine.compiler.block_traffic * std::max(arithmetic, moving(1, 1));

  std::optional<MatmulTiling> best;
  // By traffic beyond the limit, splits of k, steps, traffic.
  constexpr double kMost = std::numeric_limits<double>::infinity();
  std::tuple<double, int64_t, int64_t, double> least(kMost, 0, 0, 0);
  for (const int64_t m : even_parts(p.m, machine.matrix.rows)) {
    for (const int64_t n : even_parts(p.n, machine.matrix.rows)) {
      for (const int64_t k : even_parts(depth, machine.matrix.rows)) {
        const int64_t splits = ceil_div(depth, k);
        const int64_t row_tiles = ceil_div(p.m, m);
        const int64_t col_tiles = ceil_div(p.n, n);
        const int64_t steps = p.batch * row_tiles * col_tiles * splits;
        const double traffic = moving(col_tiles, row_tiles);
        const std::tuple cost(std::max(traffic - most_moving, 0.0), splits, steps, traffic);
        if (!(cost < least)) continue;
        const MatmulTiling tiling{m, n, k, n, steps == 1 ? 1 : 2};
        if (!fits(tiling)) continue;
        least = cost;
        best = tiling;
      }
    }
  }
  return best;
}

}  // namespace npu::kernels

#include "csrc/sdk/kernels/grouped_tiling.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "csrc/sdk/kernels/matmul_model.h"
#include "csrc/sdk/kernels/matmul_tiling.h"
#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {

int64_t mean_length(int64_t total, int64_t groups) {
  const int64_t mean = std::max<int64_t>(1, ceil_div(total, groups));
  const auto step = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(mean))) / 8;
  return step <= 1 ? mean : ceil_div(mean, step) * step;
}

namespace {

MatmulTiling search_group_tiling(const sim::Machine& machine, const MatmulProblem& mean) {
  constexpr std::array<int64_t, 3> kSpreads = {4, 2, 1};
  constexpr std::array<double, 6> kLengths = {0.7, 0.9, 1,
                                              1,   1.1, 1.3};  // of the mean, most near it
  MatmulTiling best;
  double least = std::numeric_limits<double>::infinity();
  for (const int64_t spread : kSpreads) {
    MatmulProblem planned = mean;
    planned.m = std::max<int64_t>(spread * mean.m, machine.matrix.rows);
    const MatmulTiling tiling = choose_matmul_tiling(machine, planned);
    double cycles = 0;
    for (const double part : kLengths) {
      MatmulProblem problem = mean;
      problem.m = static_cast<int64_t>(std::ceil(part * static_cast<double>(mean.m)));
      cycles += MatmulModel(machine, problem).cycles(tiling);
    }
    if (cycles >= least) continue;
    least = cycles;
    best = tiling;
  }
  return best;
}

}  // namespace

MatmulTiling choose_group_tiling(const sim::Machine& machine, const MatmulProblem& mean) {
  static auto* const choices = new TilingChoices("grouped_gemm");
  return choices->get(machine, mean, [&] { return search_group_tiling(machine, mean); });
}

bool walk_groups(const sim::Machine& machine, const MatmulProblem& problem, int64_t rows,
                 MatmulTiling& tiling) {
  constexpr int64_t kMatrices = 16;  // times what rows are read
  constexpr int64_t kGranule = 32;   // columns: a burst of them where they are neighbours
  const int64_t cores = machine.core.count;
  const int64_t programs = ceil_div(ceil_div(problem.n, tiling.n), cores) * cores;
  const int64_t columns = ceil_div(ceil_div(problem.n, programs), kGranule) * kGranule;
  MatmulTiling walk = tiling;
  if (columns < tiling.n) walk.n = walk.chunk = columns;
  const int64_t across = ceil_div(problem.n, walk.n);
  if (kMatrices * across * rows > std::min(problem.batch, rows) * problem.n) return false;
  if (walk.n < tiling.n) {
    // As much of each matrix at a time, if the rows leave room for that.
    const MatmulModel model(machine, problem);
    int64_t depths = std::max(tiling.k * tiling.n / walk.n / machine.matrix.rows, int64_t{1});
    do {
      walk.k = std::min(depths * machine.matrix.rows, ceil_div(problem.k, kDepthUnit) * kDepthUnit);
      depths /= 2;
    } while (!model.set_buffers(walk) && depths > 0);
    if (!model.fits(walk)) return false;
  }
  tiling = walk;
  return true;
}

}  // namespace npu::kernels

#include "csrc/sdk/kernels/matmul_tiling.h"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "csrc/sdk/kernels/matmul_blocks.h"

namespace npu::kernels {
namespace {

constexpr std::array<int64_t, 8> kSides = {8, 16, 32, 64, 128, 256, 512, 1024};
constexpr std::array<int64_t, 6> kDepths = {16, 32, 64, 128, 256, 512};
constexpr int64_t kEvenWaves = 4;
constexpr double kStepCycles = 16;  // issue and loop control of one k step

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t scratchpad_bytes(const MatmulProblem& p, const MatmulTiling& t) {
  const int64_t loads = (t.m * t.k + t.k * t.n) * p.element_bytes * t.load_buffers;
  const int64_t outputs = t.m * t.n * (p.accumulator_bytes * t.accumulators + p.epilogue_bytes);
  constexpr int64_t kAlignment = 64 * 16;  // what rounding each buffer up may take
  return loads + outputs + kAlignment;
}

// Cycles, as a model of what the timer will say: programs run in waves over the cores; in each the
// slowest of matrix engine, memory and queue latency sets the pace.
double cycles(const sim::Machine& machine, const MatmulProblem& p, const MatmulTiling& t) {
  const int64_t m = std::min(t.m, p.m);
  const int64_t n = std::min(t.n, p.n);
  const int64_t k = std::min(t.k, std::max<int64_t>(p.k, 1));
  const int64_t programs = p.batch * ceil_div(p.m, t.m) * ceil_div(p.n, t.n);
  const int64_t steps = ceil_div(p.k, t.k);
  const int64_t active = std::min<int64_t>(programs, machine.core.count);
  const auto waves = static_cast<double>(ceil_div(programs, machine.core.count));

  const double stream = static_cast<double>(m) / machine.matrix_rate(p.type);
  const double weight_tiles =
      static_cast<double>(ceil_div(k, machine.matrix.rows) * ceil_div(n, machine.matrix.cols));
  const double compute =
      weight_tiles * std::max(stream, static_cast<double>(machine.matrix.rows)) + kStepCycles;

  const double step_bytes = static_cast<double>((m * k + k * n) * p.element_bytes);
  const double share = machine.hbm_bytes_per_cycle() / static_cast<double>(active);
  const double queues = static_cast<double>(machine.dma.load_queues) * machine.dma.bytes_per_cycle;
  const double rate = std::min({share, queues, static_cast<double>(machine.noc.bytes_per_cycle)});
  const double latency = machine.hbm.latency_ns * machine.clock_ghz;
  const double transfer = step_bytes / rate;
  // A buffer is taken from the start of its load to the end of the product that reads it.
  const double held = latency + transfer + compute + machine.matrix.rows + machine.matrix.cols;
  const double load = std::max(transfer, held / t.load_buffers);

  const double outputs = static_cast<double>(m * n);
  const double store = outputs * p.out_bytes / rate;
  const double epilogue =
      p.epilogue_bytes == 0 ? 0 : outputs / machine.vector.lanes * (1 + p.epilogue_bytes / 8.0);
  const double drain = t.accumulators > 1 ? store : epilogue + store;
  const double fill = latency + transfer + machine.matrix.rows + machine.matrix.cols;
  return waves * (static_cast<double>(steps) * std::max(compute, load) + drain) + fill + latency;
}

bool useful(int64_t tile, int64_t extent, int64_t smallest) {
  return tile == smallest || tile < 2 * extent;
}

// Powers of two, and the sides that split `extent` evenly over the cores in a few waves, in whole
// array widths.
std::vector<int64_t> candidate_sides(const sim::Machine& machine, int64_t extent) {
  std::vector<int64_t> sides;
  for (const int64_t side : kSides) {
    if (useful(side, extent, kSides.front())) sides.push_back(side);
  }
  const int64_t unit = machine.matrix.cols;
  for (int64_t waves = 1; waves <= kEvenWaves; ++waves) {
    const int64_t side = ceil_div(ceil_div(extent, machine.core.count * waves), unit) * unit;
    if (side < extent && std::ranges::find(sides, side) == sides.end()) sides.push_back(side);
  }
  return sides;
}

MatmulTiling search(const sim::Machine& machine, const MatmulProblem& p) {
  MatmulTiling best;
  double least = std::numeric_limits<double>::infinity();
  const std::vector<int64_t> row_sides = candidate_sides(machine, p.m);
  const std::vector<int64_t> col_sides = candidate_sides(machine, p.n);
  for (const int64_t m : row_sides) {
    for (const int64_t n : col_sides) {
      for (const int64_t k : kDepths) {
        if (!useful(k, p.k, kDepths.front())) continue;
        for (const int buffers : {2, 3, 4}) {
          for (const int accumulators : {1, 2}) {
            const MatmulTiling tiling{m, n, k, buffers, accumulators};
            if (scratchpad_bytes(p, tiling) > machine.scratchpad_bytes()) continue;
            const double cost = cycles(machine, p, tiling);
            if (cost < least) {
              least = cost;
              best = tiling;
            }
          }
        }
      }
    }
  }
  return best;
}

struct Key {
  sim::Machine machine;
  MatmulProblem problem;
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  size_t operator()(const Key& key) const {
    size_t hash = std::hash<std::string>()(key.machine.name);
    const MatmulProblem& p = key.problem;
    for (const int64_t value :
         {p.batch, p.m, p.n, p.k, static_cast<int64_t>(p.type), int64_t{p.epilogue_bytes}}) {
      hash = (hash ^ static_cast<size_t>(value)) * 0x9E3779B97F4A7C15ull;
    }
    return hash;
  }
};

}  // namespace

MatmulTiling choose_matmul_tiling(const sim::Machine& machine, const MatmulProblem& problem) {
  static std::mutex mutex;
  static auto* const remembered = new std::unordered_map<Key, MatmulTiling, KeyHash>;
  const std::lock_guard lock(mutex);
  const auto [entry, inserted] = remembered->try_emplace({machine, problem});
  if (inserted) {
    const auto fits = [&](const MatmulTiling& tiling) {
      return scratchpad_bytes(problem, tiling) <= machine.scratchpad_bytes();
    };
    entry->second = machine.compiler.block_traffic > 0
                        ? largest_matmul_blocks(machine, problem, fits)
                        : search(machine, problem);
  }
  return entry->second;
}

}  // namespace npu::kernels

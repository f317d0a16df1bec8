#include "sim/timing/durations.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace npu::sim {
namespace {

// Passes of instructions that are not element-wise functions of their own cost table.
constexpr double kRandomPasses = 10;        // ten Philox rounds
constexpr double kNormalSpecialPasses = 3;  // Box-Muller: log, square root, sine or cosine

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// ceil(log2(n)), 0 for n <= 1.
int64_t ceil_log2(int64_t n) {
  return n <= 1 ? 0 : 64 - std::countl_zero(static_cast<uint64_t>(n - 1));
}

// How many elements a lane takes in one cycle.
double lane_rate(const Machine& machine, DType type) {
  return type == DType::f64 ? machine.vector.rate_fp64 : 32.0 / bits(type);
}

uint64_t passes(double elements, double passes_each, double per_cycle) {
  return static_cast<uint64_t>(std::ceil(elements * passes_each / per_cycle));
}

}  // namespace

Duration matrix_duration(const Machine& machine, DType type, int64_t m, int64_t k, int64_t n) {
  if (m == 0 || k == 0 || n == 0) return {1, 1, 1};
  const int64_t rows = machine.matrix.rows;
  const int64_t cols = machine.matrix.cols;
  const int64_t tiles = ceil_div(k, rows) * ceil_div(n, cols);
  const double rate = machine.matrix_rate(type);
  const auto stream = static_cast<int64_t>(std::ceil(static_cast<double>(m) / rate));
  const int64_t drain = rows + cols - 2;
  if (!machine.matrix.preload) {
    const auto cycles = static_cast<uint64_t>(tiles * (rows + stream + drain) - 1);
    return {cycles, cycles, cycles};
  }
  const int64_t load = ceil_div(rows, machine.matrix.load_rows);
  const int64_t step = std::max(stream + machine.matrix.swap_cycles, load);
  const int64_t streamed = load + (tiles - 1) * step + stream;
  const int64_t latency = std::max(streamed + drain - 1, tiles * step);
  return {static_cast<uint64_t>(tiles * step), static_cast<uint64_t>(streamed),
          static_cast<uint64_t>(latency)};
}

uint64_t matrix_cell_macs(const Machine& machine, int64_t m, int64_t k, int64_t n) {
  const int64_t rows = machine.matrix.rows;
  const int64_t cols = machine.matrix.cols;
  return static_cast<uint64_t>(m * (ceil_div(k, rows) * rows) * (ceil_div(n, cols) * cols));
}

Duration vector_duration(const Prepared& prepared, const Step& step) {
  const Machine& machine = prepared.machine();
  const Instruction& inst = *step.inst;
  double rate = lane_rate(machine, prepared.buffer(step.dst).dtype);
  for (const BufferId source : step.src) {
    if (source != kNoBuffer) {
      rate = std::min(rate, lane_rate(machine, prepared.buffer(source).dtype));
    }
  }
  const double lanes = machine.vector.lanes * rate;
  const double special = machine.vector.special_lanes * rate;
  const Shape source = step.src_shape[0];
  const auto outputs = static_cast<double>(step.dst_shape.elements());

  uint64_t cycles = 0;
  switch (inst.op) {
    case Opcode::v_unary:
    case Opcode::v_binary:
    case Opcode::v_ternary: {
      const LaneCost cost = lane_cost(inst.op, inst.fn);
      cycles = passes(outputs, cost.passes, cost.special ? special : lanes);
      break;
    }
    case Opcode::v_reduce: {
      // Partial results stay in the lanes; then a tree over those that share an output.
      const int64_t reduced = inst.flags & flags::kRows ? source.rows : source.cols;
      const auto width = static_cast<int64_t>(std::max(1.0, lanes));
      cycles = passes(static_cast<double>(source.elements()), 1, lanes) +
               static_cast<uint64_t>(ceil_log2(std::min(reduced, width)));
      break;
    }
    case Opcode::v_scan: {
      const bool exponential = static_cast<ScanFn>(inst.fn) == ScanFn::logsumexp;
      cycles = passes(outputs, 2, exponential ? special : lanes) +
               static_cast<uint64_t>(ceil_log2(source.cols));
      break;
    }
    case Opcode::v_sort: {
      const int64_t levels = ceil_log2(source.cols);
      cycles = passes(outputs, static_cast<double>(levels * (levels + 1) / 2), lanes);
      break;
    }
    case Opcode::v_random:
      cycles = passes(outputs, kRandomPasses, lanes);
      if (static_cast<RandomFn>(inst.fn) == RandomFn::normal) {
        cycles += passes(outputs, kNormalSpecialPasses, special);
      }
      break;
    case Opcode::v_reshape:
      break;  // changes the shape that later instructions see, moves nothing
    case Opcode::v_insert:
      cycles = passes(static_cast<double>(source.elements()), 1, lanes);
      break;
    default:
      cycles = passes(outputs, 1, lanes);
  }
  cycles = std::max<uint64_t>(cycles, 1);
  return {cycles, cycles, cycles + static_cast<uint64_t>(machine.vector.latency_cycles)};
}

}  // namespace npu::sim

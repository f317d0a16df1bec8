// Says how long a launch takes on the machine, and why (docs/timing.md). Never touches tensor data;
// scalar loads read their integers from the launch's buffers.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

#include "sim/exec/launch.h"

namespace npu::sim {

enum class Resource : uint8_t { matrix, vector, load, store, scalar };
inline constexpr int kResourceCount = 5;
std::string_view name(Resource resource);

struct Timing {
  uint64_t cycles = 0;
  Counters counters;
  // Summed over cores and their queues, in cycles: work done, and waiting between launch start and
  // launch end. busy + stall = cycles * cores * queues of that kind. The scalar unit's work is to
  // issue: one cycle for every instruction of any engine.
  std::array<uint64_t, kResourceCount> busy = {};
  std::array<uint64_t, kResourceCount> stall = {};
  // Cycles of one cell of the matrix engine that the useful multiply-accumulates need, each at the
  // rate of its operands' type.
  double cell_cycles = 0;
  int64_t folded_programs = 0;  // that were not simulated one by one: they repeat others exactly
  double hbm_busy_cycles = 0;   // cycles of the memory: bursts, rows, turns and refresh
  // "matrix", "vector", "memory", "dma" or "latency": whichever the launch spent most of its
  // cycles on, "latency" where none exceeds half of them.
  std::string_view bound_by() const;

  double device_ns(const Machine& machine) const { return machine.cycles_to_ns(double(cycles)); }
  double matrix_utilization(const Machine& machine) const;  // useful MACs over their types' peak
  double hbm_utilization(const Machine& machine) const;     // bytes over peak bandwidth
};

// Does the timer skip periods that repeat? The answer is the same.
enum class Folding : uint8_t { off, on };

// From where on nobody cares how long a launch takes.
struct TimeLimit {
  uint64_t cycles = std::numeric_limits<uint64_t>::max();
  // Cycles of the whole memory that the launch needs at least, as far as the caller knows: what has
  // not been asked for yet is still to come, so hopeless launches are seen to be so earlier.
  double memory_cycles = 0;
};

class Timer {
 public:
  explicit Timer(const Machine& machine);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Remembers answers by program, grid and what steers: integer and real arguments, where in a row
  // of its allocation a pointer points, and the integers that scalar loads gave. The reference is
  // good until the next call. Throws MachineError; a remembered launch's bounds are not checked
  // again. Not thread-safe.
  const Timing& time(const Launch& launch);

  // The same without the memory of answers. Throws MachineError. Thread-safe.
  Timing simulate(const Launch& launch, Folding folding = Folding::on) const;
  // Nothing where the launch takes `limit.cycles` or more, which is often known before its end.
  std::optional<Timing> simulate_below(const Launch& launch, const TimeLimit& limit) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace npu::sim

// What the timer has said before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "sim/exec/launch.h"
#include "sim/timing/timer.h"

namespace npu::sim {

// A scalar load that a simulation did.
struct ScalarLoad {
  uint16_t argument;
  DType type;
  int64_t offset;  // bytes from the pointer argument
  int64_t value;   // scalar_at() of it
};

// Timings by what time depends on besides the machine: program, grid, the numbers among the
// arguments that may steer it, where in a row of its allocation a pointer points, and the integers
// that the program loaded. Addresses are not among it. Not thread-safe.
class Answers {
 public:
  explicit Answers(const Machine& machine) : row_bytes_(machine.hbm.row_bytes) {}

  // The timing of an equal launch; null if there was none. A launch that would load other integers,
  // or where their bytes hold no data, is not equal. Good until the next remember().
  const Timing* find(const Launch& launch) const;

  // `loads`: all that the launch's simulation did, in any order, repetitions allowed.
  const Timing& remember(const Launch& launch, std::vector<ScalarLoad> loads, Timing timing);

 private:
  struct Answer {
    uint64_t program;
    int64_t grid;
    std::vector<int64_t> args;
    std::vector<ScalarLoad> loads;
    Timing timing;
  };

  int64_t steers(const Launch& launch, size_t argument) const;
  uint64_t hash(const Launch& launch) const;
  bool answers(const Answer& answer, const Launch& launch) const;

  // Some tens of megabytes. Where more have come, all are forgotten.
  static constexpr size_t kMostAnswers = size_t{1} << 16;
  static constexpr size_t kMostLoads = size_t{1} << 21;
  // Answers that differ in nothing but what was loaded: the oldest gives way, so that a search
  // stays short where every launch loads something else.
  static constexpr size_t kMostAlike = 32;

  int64_t row_bytes_;
  std::unordered_map<uint64_t, std::vector<Answer>> answers_;  // by hash, the latest last
  size_t count_ = 0;
  size_t loads_ = 0;  // of all answers
};

}  // namespace npu::sim

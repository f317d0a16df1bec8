// Finds that a launch repeats itself, and skips what repeats.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/timing/machine_state.h"
#include "sim/timing/steering.h"

namespace npu::sim {

// Each time the first core begins a program, the state of all cores, queues and calendars relative
// to now is compared with an earlier one. Where they are equal, and the programs to come are of the
// same classes as those between the two (Steering), the time between them will repeat: as many
// whole periods as the classes do are added at once.
//
// Programs that are skipped so are not checked: their errors are left to whoever executes them.
class SteadyState {
 public:
  explicit SteadyState(const Prepared& prepared);

  static bool worthwhile(const Prepared& prepared);       // Are there enough programs?
  bool possible() const { return steering_.possible(); }  // Can they be told to be equal?

  void at_round(MachineState& state);
  int64_t skipped() const { return skipped_; }  // programs

 private:
  struct Work {  // of a core, in cycles of its engines
    int64_t pid = 0;
    uint64_t issued = 0, matrix = 0, vector = 0;
    std::vector<uint64_t> load, store;
  };
  struct Saved {
    bool valid = false;
    int64_t round = 0;
    uint64_t now = 0;
    uint64_t fingerprint = 0;
    std::vector<uint64_t> words;
    std::vector<Work> work;
    Counters counters;
    std::array<uint64_t, kDTypeCount> macs = {};
    uint64_t hbm_busy = 0;
  };

  static uint64_t fingerprint(const MachineState& state);
  void append_words(const MachineState& state, std::vector<uint64_t>& words);
  void save(const MachineState& state, int64_t round, uint64_t fingerprint);
  int64_t repeats(const MachineState& state, int64_t rounds);
  void skip(MachineState& state, int64_t rounds, int64_t times);

  const Prepared* prepared_;
  int64_t cores_;
  Steering steering_;
  Saved saved_;
  int64_t next_save_ = 1;
  std::vector<uint64_t> words_;
  std::vector<uint64_t> classes_;
  int64_t skipped_ = 0;
};

}  // namespace npu::sim

#include "sim/timing/steady_state.h"

#include <algorithm>

namespace npu::sim {
namespace {

constexpr int64_t kLeastRounds = 6;  // fewer are not worth looking

// When each core asks next, in cycles; a blocked one is not among the turns.
void next_asks(const MachineState& state, std::vector<uint64_t>& words) {
  const size_t first = words.size();
  for (const CoreState& core : state.cores) words.push_back(core.issue);
  for (const Turn turn : state.turns) words[first + (turn & kCoreMask)] = turn >> kCoreBits;
}

}  // namespace

SteadyState::SteadyState(const Prepared& prepared)
    : prepared_(&prepared), cores_(prepared.cores()), steering_(prepared) {}

bool SteadyState::worthwhile(const Prepared& prepared) {
  return prepared.launch().grid >= kLeastRounds * prepared.cores();
}

// Cheap, and different for most states that differ.
uint64_t SteadyState::fingerprint(const MachineState& state) {
  const uint64_t now = state.cores.front().issue;
  uint64_t hash = 0;
  for (const CoreState& core : state.cores) {
    hash = (hash ^ (core.issue - now)) * 0x9e3779b97f4a7c15;
    hash = (hash ^ (core.end - now)) * 0x9e3779b97f4a7c15;
  }
  return hash;
}

void SteadyState::append_words(const MachineState& state, std::vector<uint64_t>& words) {
  const uint64_t now = state.cores.front().issue;
  next_asks(state, words);
  const uint64_t earliest = *std::min_element(words.end() - std::ssize(state.cores), words.end());
  for (auto ask = words.end() - std::ssize(state.cores); ask != words.end(); ++ask) *ask -= now;
  for (const CoreState& core : state.cores) {
    words.push_back(core.issue - now);
    words.push_back(std::max(core.end, core.issue) - now);
    words.push_back(static_cast<uint64_t>(core.pid / cores_ - state.cores.front().pid / cores_));
    words.push_back(static_cast<uint64_t>(core.waiting != nullptr) << 1 |
                    static_cast<uint64_t>(core.blocked));
    core.cursor.append_state(words);
    const uint32_t pc = core.waiting != nullptr ? core.waiting->pc : core.cursor.pc();
    steering_.append_values(core.cursor, pc, words);
    for (const Hazards& hazards : core.hazards) {
      words.push_back(std::max(hazards.written, core.issue) - core.issue);
      words.push_back(std::max(hazards.read, core.issue) - core.issue);
      words.push_back(static_cast<uint64_t>(hazards.by_matrix));
    }
    core.matrix.append_state(core.issue, words);
    core.vector.append_state(core.issue, words);
    for (const EngineQueue& queue : core.load) queue.append_state(core.issue, words);
    for (const EngineQueue& queue : core.store) queue.append_state(core.issue, words);
    core.port_read.append_state(to_ticks(core.issue), to_ticks(now), words);
    core.port_write.append_state(to_ticks(core.issue), to_ticks(now), words);
  }
  state.hbm.append_state(to_ticks(earliest), to_ticks(now), words);
  state.trunk_read.append_state(to_ticks(earliest), to_ticks(now), words);
  state.trunk_write.append_state(to_ticks(earliest), to_ticks(now), words);
}

void SteadyState::save(const MachineState& state, int64_t round, uint64_t fingerprint) {
  saved_.valid = true;
  saved_.round = round;
  saved_.now = state.cores.front().issue;
  saved_.fingerprint = fingerprint;
  saved_.words.clear();
  append_words(state, saved_.words);
  saved_.work.resize(state.cores.size());
  for (size_t i = 0; i < state.cores.size(); ++i) {
    const CoreState& core = state.cores[i];
    Work& work = saved_.work[i];
    work = {core.pid, core.issued, core.matrix.busy(), core.vector.busy(), {}, {}};
    for (const EngineQueue& queue : core.load) work.load.push_back(queue.busy());
    for (const EngineQueue& queue : core.store) work.store.push_back(queue.busy());
  }
  saved_.counters = state.counters;
  saved_.macs = state.macs;
  saved_.hbm_busy = state.hbm.busy();
}

// How many times more the programs after the present ones are of the classes of the `rounds`
// before.
int64_t SteadyState::repeats(const MachineState& state, int64_t rounds) {
  const int64_t grid = prepared_->launch().grid;
  const auto period = static_cast<size_t>(rounds);
  classes_.resize(state.cores.size() * period);
  for (size_t i = 0; i < state.cores.size(); ++i) {
    for (size_t j = 0; j < period; ++j) {
      const int64_t back = rounds - 1 - static_cast<int64_t>(j);
      classes_[i * period + j] = steering_.class_of(state.cores[i].pid - back * cores_);
    }
  }
  for (int64_t times = 0;; ++times) {
    for (size_t i = 0; i < state.cores.size(); ++i) {
      for (size_t j = 0; j < period; ++j) {
        const int64_t pid =
            state.cores[i].pid + (times * rounds + static_cast<int64_t>(j) + 1) * cores_;
        if (pid >= grid || steering_.class_of(pid) != classes_[i * period + j]) return times;
      }
    }
  }
}

void SteadyState::skip(MachineState& state, int64_t rounds, int64_t times) {
  const auto n = static_cast<uint64_t>(times);
  const uint64_t cycles = n * (state.cores.front().issue - saved_.now);
  for (size_t i = 0; i < state.cores.size(); ++i) {
    CoreState& core = state.cores[i];
    const Work& before = saved_.work[i];
    core.pid += times * rounds * cores_;
    core.cursor.renumber(core.pid);
    core.issue += cycles;
    core.end += cycles;
    core.issued += n * (core.issued - before.issued);
    for (Hazards& hazards : core.hazards) {
      hazards.written += cycles;
      hazards.read += cycles;
    }
    core.matrix.shift(cycles, n * (core.matrix.busy() - before.matrix));
    core.vector.shift(cycles, n * (core.vector.busy() - before.vector));
    for (size_t q = 0; q < core.load.size(); ++q) {
      core.load[q].shift(cycles, n * (core.load[q].busy() - before.load[q]));
    }
    for (size_t q = 0; q < core.store.size(); ++q) {
      core.store[q].shift(cycles, n * (core.store[q].busy() - before.store[q]));
    }
    core.port_read.shift(to_ticks(cycles));
    core.port_write.shift(to_ticks(cycles));
  }
  for (Turn& waiting : state.turns) waiting += turn(cycles, 0);
  state.hbm.shift(to_ticks(cycles), n * (state.hbm.busy() - saved_.hbm_busy));
  state.trunk_read.shift(to_ticks(cycles));
  state.trunk_write.shift(to_ticks(cycles));
  state.counters.repeat_since(saved_.counters, n);
  for (size_t type = 0; type < state.macs.size(); ++type) {
    state.macs[type] += n * (state.macs[type] - saved_.macs[type]);
  }
  skipped_ += times * rounds * std::ssize(state.cores);
}

void SteadyState::at_round(MachineState& state) {
  for (const CoreState& core : state.cores) {
    if (core.done) return;  // the end: nothing repeats from here on
  }
  int64_t round = state.cores.front().pid / cores_;
  const uint64_t now = fingerprint(state);
  if (saved_.valid && now == saved_.fingerprint) {
    words_.clear();
    append_words(state, words_);
    if (words_ == saved_.words) {
      const int64_t rounds = round - saved_.round;
      if (const int64_t times = repeats(state, rounds); times > 0) {
        skip(state, rounds, times);
        round += times * rounds;
      }
      saved_.valid = false;
      next_save_ = round + 1;
      return;
    }
  }
  if (round >= next_save_) {
    save(state, round, now);
    next_save_ = round + 1 + round / 2;  // ever longer periods are found
  }
}

}  // namespace npu::sim

// What the timer knows of the machine while a launch runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "sim/exec/cursor.h"
#include "sim/timing/calendar.h"
#include "sim/timing/hbm.h"

namespace npu::sim {

struct Hazards {
  uint64_t written = 0;    // when the last result can be read
  uint64_t read = 0;       // when the last reader is done with it
  bool by_matrix = false;  // accumulators are updated in order, without waiting for the drain
};

// An engine with the queue in front of it. An instruction waits in the queue from its issue to its
// start; `depth` of them fit.
class EngineQueue {
 public:
  explicit EngineQueue(int depth) : starts_(static_cast<size_t>(depth), 0) {}

  uint64_t free() const { return free_; }
  uint64_t busy() const { return busy_; }
  // Between instructions, and on others within them, so far and until `end`.
  uint64_t stalled(uint64_t end) const { return stalled_ + (end - free_); }
  // When a place in the queue is free: the instruction `depth` before the next one has started.
  uint64_t room() const { return starts_[next_]; }

  // `occupied` cycles from `start` on, `work` of them without waiting for others.
  void run(uint64_t start, uint64_t occupied, uint64_t work) {
    busy_ += work;
    stalled_ += start - free_ + (occupied - work);
    free_ = start + occupied;
    starts_[next_] = start;
    if (++next_ == starts_.size()) next_ = 0;
  }

  // What instructions that are issued from `now` on will meet: equal words, equal answers.
  void append_state(uint64_t now, std::vector<uint64_t>& words) const {
    words.push_back(std::max(free_, now) - now);
    for (size_t i = 0; i < starts_.size(); ++i) {
      words.push_back(std::max(starts_[(next_ + i) % starts_.size()], now) - now);
    }
  }
  void shift(uint64_t cycles, uint64_t work) {
    for (uint64_t& start : starts_) start += cycles;
    free_ += cycles;
    busy_ += work;
    stalled_ += cycles - work;
  }

 private:
  std::vector<uint64_t> starts_;  // a ring over the last `depth` instructions
  size_t next_ = 0;
  uint64_t free_ = 0;
  uint64_t busy_ = 0;
  uint64_t stalled_ = 0;
};

struct CoreState {
  CoreState(const Prepared& prepared, int number)
      : cursor(prepared),
        hazards(static_cast<size_t>(prepared.buffer_count())),
        matrix(prepared.machine().core.queue_depth),
        vector(prepared.machine().core.queue_depth),
        load(static_cast<size_t>(prepared.machine().dma.load_queues),
             EngineQueue(prepared.machine().core.queue_depth)),
        store(static_cast<size_t>(prepared.machine().dma.store_queues),
              EngineQueue(prepared.machine().core.queue_depth)),
        number(number),
        pid(number),
        issue(static_cast<uint64_t>(prepared.machine().core.start_cycles)) {
    cursor.start(pid, number);
  }

  Cursor cursor;
  std::vector<Hazards> hazards;  // by physical buffer
  EngineQueue matrix;
  EngineQueue vector;
  std::vector<EngineQueue> load;
  std::vector<EngineQueue> store;
  Calendar port_read;
  Calendar port_write;
  int number;
  int64_t pid;
  uint64_t issue;                 // the next cycle that can issue
  uint64_t issued = 0;            // instructions
  uint64_t loaded = 0;            // when the values of all scalar loads so far are there
  uint64_t end = 0;               // when everything issued so far is done
  const Step* waiting = nullptr;  // a DMA whose turn at the memory has not come
  bool blocked = false;           // `waiting` is a multicast load, and others have not come to it
  bool done = false;
};

// (issue cycle, core): what is granted first. Cores are few, cycles many.
using Turn = uint64_t;
inline constexpr int kCoreBits = 16;
inline constexpr Turn kCoreMask = (Turn{1} << kCoreBits) - 1;
constexpr Turn turn(uint64_t cycle, int core) {
  return cycle << kCoreBits | static_cast<uint64_t>(core);
}

struct MachineState {
  explicit MachineState(const Machine& machine) : hbm(machine) {}

  std::vector<CoreState> cores;
  std::vector<Turn> turns;  // a heap, earliest first: of each core that has work and is not blocked
  Hbm hbm;
  Calendar trunk_read;  // between the ports and the memory
  Calendar trunk_write;
  Counters counters;
  std::array<uint64_t, kDTypeCount> macs = {};  // useful ones, by the operands' type
};

}  // namespace npu::sim

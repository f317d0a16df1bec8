// The device's memory: what an access costs its channels, and when it is over. docs/timing.md
// derives the closed forms.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "sim/arch/machine.h"
#include "sim/timing/calendar.h"

namespace npu::sim {

// The bytes that a transfer touches: contiguous runs of `run` bytes, the first one's lowest byte
// `offset` bytes into its allocation, repeated along `dims` dimensions that do not continue a run.
// `scattered` counts repetitions at places that nobody knows before: those of an index tile, each
// a multiple of `scatter_stride` bytes away.
struct Footprint {
  int64_t offset = 0;
  int64_t run = 0;
  int dims = 0;
  std::array<int64_t, 5> size = {};
  std::array<int64_t, 5> stride = {};  // bytes, positive
  int64_t scattered = 1;
  int64_t scatter_stride = 0;
};

// How many aligned stretches of `bytes` (a power of two) the footprint touches. Where runs start at
// different places in their stretches, the average over the places that their strides can give,
// rounded up. `joined`: a stretch that neighbouring runs of the transfer share counts once.
int64_t touched_stretches(const Footprint& footprint, int64_t bytes, bool joined);

// A transfer as the memory sees it, in ticks.
struct HbmAccess {
  int64_t bytes = 0;   // whole bursts
  uint64_t ticks = 0;  // of the whole memory
  uint64_t alone = 0;  // what it takes at least, on the channels that it touches
  uint64_t turn = 0;   // for turning the channels round, if it must
  bool reads = false;
  bool writes = false;
};

class Hbm {
 public:
  explicit Hbm(const Machine& machine);

  // The channels' time for bursts and rows; `reads` and `writes` (an atomic add does both).
  HbmAccess price(const Footprint& footprint, bool reads, bool writes) const;

  // Takes the memory from `time` (ticks) on; returns when the last byte has passed. An access waits
  // for those of its class and of the classes before it. Those that it overtakes finish as they
  // were told: its time is taken from the ones that ask later.
  uint64_t serve(uint64_t time, const HbmAccess& access) {
    uint64_t ticks = access.ticks;
    if (access.writes && (read_since_write_ || access.reads)) ticks += access.turn;
    read_since_write_ = access.reads;
    busy_ += ticks;
    uint64_t passed = time;
    for (size_t i = kClasses; i-- > class_of(access);) passed = calendars_[i].reserve(time, ticks);
    return std::max(passed, time + access.alone);
  }
  void retire(uint64_t time) {
    for (Calendar& calendar : calendars_) calendar.retire(time);
  }

  uint64_t busy() const { return busy_; }  // ticks
  // When all that was asked for has passed: as much work ends as soon in any order.
  uint64_t drained() const { return calendars_.back().last(); }

  // As Calendar's.
  void append_state(uint64_t floor, uint64_t origin, std::vector<uint64_t>& words) const {
    for (const Calendar& calendar : calendars_) calendar.append_state(floor, origin, words);
    words.push_back(static_cast<uint64_t>(read_since_write_));
  }
  void shift(uint64_t ticks, uint64_t busy) {
    for (Calendar& calendar : calendars_) calendar.shift(ticks);
    busy_ += busy;
  }

 private:
  // Reads of no more than a row, other reads, writes (of which atomic adds are).
  static constexpr size_t kClasses = 3;
  size_t class_of(const HbmAccess& access) const {
    if (access.writes) return 2;
    return access.bytes <= row_ ? 0 : 1;
  }

  int64_t burst_;
  int64_t interleave_;
  int64_t row_;
  int64_t channels_;
  Bandwidth bandwidth_;
  // Ticks of the whole memory, with the fraction bits of Bandwidth: the least time for each row,
  // what opening a row adds, what a byte written adds after a read.
  uint64_t row_least_;
  uint64_t row_miss_;
  uint64_t turn_;
  std::array<Calendar, kClasses> calendars_;  // each with all that its class waits for
  bool read_since_write_ = false;
  uint64_t busy_ = 0;
};

}  // namespace npu::sim

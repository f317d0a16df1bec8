// When a shared server is free: bandwidth handed out in the order of asking, not of starting.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace npu::sim {

// The unit of server time: 1/64 cycle, so that a transfer of a few bytes costs its share and a
// state that repeats does so after few rounds.
inline constexpr int kTickBits = 6;
constexpr uint64_t to_ticks(uint64_t cycles) { return cycles << kTickBits; }
constexpr uint64_t to_cycles_up(uint64_t ticks) {
  return (ticks + (uint64_t{1} << kTickBits) - 1) >> kTickBits;
}

// Ticks that a server of a bandwidth needs for bytes, in fixed point (32 bits of fraction), so that
// sums do not depend on the order of adding.
class Bandwidth {
 public:
  explicit Bandwidth(double bytes_per_cycle)
      : ticks_per_byte_(static_cast<uint64_t>(
            (double(uint64_t{1} << (kTickBits + 32)) / bytes_per_cycle) + 0.5)) {}
  uint64_t ticks_per_byte() const { return ticks_per_byte_; }  // 32 bits of fraction
  uint64_t ticks(int64_t bytes) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(bytes) * ticks_per_byte_) >> 32);
  }

 private:
  uint64_t ticks_per_byte_;
};

// Work conserving: a request takes the server's earliest free time from its own start on, in pieces
// if need be. A core asks when it issues, for the time when the transfer will start, so that one
// that starts late (a store that waits for its operand) leaves the time before it to others.
class Calendar {
 public:
  // No later request will start before `time` (ticks): forgets free time before it.
  void retire(uint64_t time) {
    while (head_ < gaps_.size() && gaps_[head_].end <= time) ++head_;
    if (head_ == gaps_.size()) {
      gaps_.clear();
      head_ = 0;
    } else if (head_ >= kCompact) {
      gaps_.erase(gaps_.begin(), gaps_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

  // What requests from `floor` on will meet, relative to `origin`: equal words, equal answers.
  void append_state(uint64_t floor, uint64_t origin, std::vector<uint64_t>& words) const {
    const size_t count = words.size();
    words.push_back(0);
    for (size_t i = head_; i < gaps_.size(); ++i) {
      if (gaps_[i].end <= floor) continue;
      words.push_back(std::max(gaps_[i].begin, floor) - origin);
      words.push_back(gaps_[i].end - origin);
      ++words[count];
    }
    words.push_back(std::max(tail_, floor) - origin);
  }
  // Moves everything by `ticks` into the future.
  void shift(uint64_t ticks) {
    for (Gap& gap : gaps_) {
      gap.begin += ticks;
      gap.end += ticks;
    }
    tail_ += ticks;
  }

  // Takes `ticks` of the server from `time` on; returns when the last of it ends.
  uint64_t reserve(uint64_t time, uint64_t ticks) {
    if (ticks == 0) return time;
    if (head_ == gaps_.size() || gaps_.back().end <= time) return append(time, ticks);
    return fill(time, ticks);
  }

  // Free from here on for good.
  uint64_t last() const { return tail_; }

 private:
  struct Gap {
    uint64_t begin;
    uint64_t end;
  };
  static constexpr size_t kCompact = 64;
  static constexpr uint64_t kSmallestGap = uint64_t{1} << kTickBits;

  uint64_t append(uint64_t time, uint64_t ticks) {
    if (time >= tail_ + kSmallestGap) gaps_.push_back({tail_, time});
    tail_ = std::max(tail_, time) + ticks;
    return tail_;
  }

  uint64_t fill(uint64_t time, uint64_t ticks) {
    auto gap = std::partition_point(gaps_.begin() + static_cast<std::ptrdiff_t>(head_), gaps_.end(),
                                    [&](const Gap& g) { return g.end <= time; });
    while (gap != gaps_.end()) {
      const uint64_t start = std::max(gap->begin, time);
      const uint64_t taken = std::min(gap->end - start, ticks);
      const Gap before{gap->begin, start};
      const Gap after{start + taken, gap->end};
      const bool keep_before = before.end >= before.begin + kSmallestGap;
      const bool keep_after = after.end >= after.begin + kSmallestGap;
      if (keep_before && keep_after) {
        *gap = after;
        gap = gaps_.insert(gap, before) + 1;
      } else if (keep_before) {
        *gap++ = before;
      } else if (keep_after) {
        *gap = after;
      } else {
        gap = gaps_.erase(gap);
      }
      ticks -= taken;
      if (ticks == 0) return start + taken;
    }
    tail_ += ticks;
    return tail_;
  }

  std::vector<Gap> gaps_;  // sorted; [head_, end) can still be taken
  size_t head_ = 0;
  uint64_t tail_ = 0;  // free from here on
};

}  // namespace npu::sim

// Simulated time. Whole picoseconds, so that sums do not depend on their order and two runs agree
// to the last bit.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

namespace npu::sdk {

using Picoseconds = int64_t;

inline Picoseconds from_ns(double nanoseconds) { return std::llround(nanoseconds * 1e3); }
inline double to_ns(Picoseconds time) { return static_cast<double>(time) / 1e3; }

// The calling thread's clock. Launching costs it time; synchronising moves it to what it waited
// for.
inline Picoseconds& host_clock() {
  thread_local Picoseconds clock = 0;
  return clock;
}

inline void advance_host_clock(Picoseconds to) { host_clock() = std::max(host_clock(), to); }

// A clock that several threads move, never back.
inline void raise(std::atomic<Picoseconds>& clock, Picoseconds to) {
  Picoseconds seen = clock.load(std::memory_order_relaxed);
  while (seen < to && !clock.compare_exchange_weak(seen, to)) {
  }
}

}  // namespace npu::sdk

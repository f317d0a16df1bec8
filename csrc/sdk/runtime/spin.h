// Waiting for another thread: briefly awake, since waking a sleeping thread takes tens of
// microseconds, longer than a small launch.
#pragma once

#include <immintrin.h>

#include <chrono>
#include <thread>

namespace npu::sdk {

// True once `done()` is; false if it was not within the time that spinning is worth.
template <class Done>
bool spin_until(Done&& done) {
  if (done()) return true;
  static const bool worthwhile = std::thread::hardware_concurrency() > 1;
  if (!worthwhile) return false;
  constexpr auto kPatience = std::chrono::microseconds(50);
  constexpr int kPausesPerLook = 64;
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      _mm_pause();
      if (done()) return true;
    }
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::yield();  // the other thread may be waiting for this core
  }
}

}  // namespace npu::sdk

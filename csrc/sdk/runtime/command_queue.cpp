#include "csrc/sdk/runtime/command_queue.h"

#include <algorithm>

#include "csrc/sdk/runtime/spin.h"

namespace npu::sdk {

void CommandQueue::wait(uint64_t ticket) {
  if (spin_until([&] { return done(ticket); })) return;
  std::unique_lock lock(sleep_mutex_);
  for (;;) {
    awaited_.store(std::min(awaited_.load(), ticket));
    if (done_.load() >= ticket) return;
    waiters_wake_.wait(lock);
  }
}

Command& CommandQueue::front() {
  const uint64_t index = done_.load(std::memory_order_relaxed);
  const auto ready = [&] { return pushed_.load(std::memory_order_acquire) > index; };
  if (!spin_until(ready)) {
    std::unique_lock lock(sleep_mutex_);
    worker_sleeps_.store(true);
    worker_wakes_.wait(lock, [&] { return pushed_.load() > index; });
    worker_sleeps_.store(false);
  }
  return slots_[index % kSlots];
}

void CommandQueue::pop() {
  const uint64_t finished = done_.load(std::memory_order_relaxed) + 1;
  done_.store(finished);
  if (awaited_.load() > finished) return;
  std::lock_guard lock(sleep_mutex_);
  awaited_.store(kNobody);  // those who wait for more say so again
  waiters_wake_.notify_all();
}

void CommandQueue::wake_worker() {
  {
    std::lock_guard lock(sleep_mutex_);
  }
  worker_wakes_.notify_one();
}

}  // namespace npu::sdk

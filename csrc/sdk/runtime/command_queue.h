// A device's queue: many threads push, its worker takes commands in that order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "csrc/sdk/runtime/command.h"

namespace npu::sdk {

class CommandQueue {
 public:
  CommandQueue() : slots_(kSlots) {}

  // Lets `fill` write the next command and hands it to the worker. Returns the command's ticket:
  // tickets count from 1 in the order of pushing. Waits while the queue is full.
  template <class Fill>
  uint64_t push(Fill&& fill) {
    std::lock_guard lock(push_mutex_);
    const uint64_t index = pushed_.load(std::memory_order_relaxed);
    if (index - done_.load(std::memory_order_acquire) == kSlots) wait(index - kSlots / 2);
    Command& command = slots_[index % kSlots];
    command.ticket = index + 1;
    std::forward<Fill>(fill)(command);
    // Sequentially consistent, as are the worker's accesses: one of both sees the other's store.
    pushed_.store(index + 1);
    if (worker_sleeps_.load()) wake_worker();
    return index + 1;
  }

  uint64_t last_ticket() const { return pushed_.load(std::memory_order_acquire); }
  bool done(uint64_t ticket) const { return done_.load(std::memory_order_acquire) >= ticket; }
  // Returns once all commands up to this ticket are done.
  void wait(uint64_t ticket);

  // The worker's side: waits for the next command; then it is done.
  Command& front();
  void pop();

 private:
  static constexpr uint64_t kSlots = 1024;
  static constexpr uint64_t kNobody = std::numeric_limits<uint64_t>::max();

  void wake_worker();

  std::mutex push_mutex_;
  std::vector<Command> slots_;
  alignas(64) std::atomic<uint64_t> pushed_{0};
  std::atomic<bool> worker_sleeps_{false};
  alignas(64) std::atomic<uint64_t> done_{0};
  std::atomic<uint64_t> awaited_{kNobody};  // the lowest ticket that a sleeper waits for
  alignas(64) std::mutex sleep_mutex_;
  std::condition_variable worker_wakes_;
  std::condition_variable waiters_wake_;
};

}  // namespace npu::sdk

#include "csrc/sdk/runtime/command_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace npu::sdk {
namespace {

using std::chrono::milliseconds;

constexpr int kStop = -1;

void push(CommandQueue& queue, int64_t number) {
  queue.push([&](Command& command) { command.bytes = number; });
}

// Takes commands until the stop; `pause` sleeps after each, so that the other side must wait.
std::vector<int64_t> drain(CommandQueue& queue, milliseconds pause = {}) {
  std::vector<int64_t> seen;
  for (;;) {
    const int64_t number = queue.front().bytes;
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    queue.pop();
    if (number == kStop) return seen;
    seen.push_back(number);
  }
}

TEST(CommandQueue, TicketsCountInOrder) {
  CommandQueue queue;
  for (uint64_t i = 1; i <= 10; ++i) {
    EXPECT_EQ(queue.push([&](Command& command) { EXPECT_EQ(command.ticket, i); }), i);
  }
  EXPECT_EQ(queue.last_ticket(), 10u);
  EXPECT_FALSE(queue.done(1));
  queue.front();
  queue.pop();
  EXPECT_TRUE(queue.done(1));
  EXPECT_FALSE(queue.done(2));
  queue.wait(1);
}

TEST(CommandQueue, KeepsTheOrderOverManyRounds) {
  CommandQueue queue;
  std::vector<int64_t> seen;
  std::thread worker([&] { seen = drain(queue); });
  for (int64_t i = 0; i < 50000; ++i) push(queue, i);
  push(queue, kStop);
  worker.join();
  ASSERT_EQ(seen.size(), 50000u);
  for (int64_t i = 0; i < 50000; ++i) ASSERT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST(CommandQueue, ASleepingWorkerWakes) {
  CommandQueue queue;
  std::vector<int64_t> seen;
  std::thread worker([&] { seen = drain(queue); });
  for (int64_t i = 0; i < 20; ++i) {
    push(queue, i);
    std::this_thread::sleep_for(milliseconds(1));  // longer than it spins
  }
  push(queue, kStop);
  worker.join();
  EXPECT_EQ(seen.size(), 20u);
}

TEST(CommandQueue, SleepingWaitersWake) {
  CommandQueue queue;
  std::thread worker([&] { drain(queue, milliseconds(1)); });
  std::vector<uint64_t> tickets;
  for (int64_t i = 0; i < 30; ++i) {
    tickets.push_back(queue.push([&](Command& command) { command.bytes = i; }));
  }
  std::vector<std::thread> waiters;
  for (const size_t i : {29, 3, 17, 3}) {
    waiters.emplace_back([&, i] {
      queue.wait(tickets[i]);
      EXPECT_TRUE(queue.done(tickets[i]));
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
  push(queue, kStop);
  worker.join();
}

TEST(CommandQueue, AFullQueueHoldsItsProducersBack) {
  CommandQueue queue;
  std::thread producer([&] {
    for (int64_t i = 0; i < 3000; ++i) push(queue, i);
    push(queue, kStop);
  });
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_LT(queue.last_ticket(), 3000u);
  EXPECT_EQ(drain(queue).size(), 3000u);
  producer.join();
}

TEST(CommandQueue, ProducersFromManyThreads) {
  CommandQueue queue;
  std::vector<int64_t> seen;
  std::thread worker([&] { seen = drain(queue); });
  std::vector<std::thread> producers;
  for (int64_t t = 0; t < 4; ++t) {
    producers.emplace_back([&, t] {
      for (int64_t i = 0; i < 2000; ++i) push(queue, t * 10000 + i);
    });
  }
  for (std::thread& producer : producers) producer.join();
  push(queue, kStop);
  worker.join();
  ASSERT_EQ(seen.size(), 8000u);
  std::vector<int64_t> next(4, 0);
  for (const int64_t number : seen) {
    ASSERT_EQ(number % 10000, next[static_cast<size_t>(number / 10000)]++);
  }
}

}  // namespace
}  // namespace npu::sdk

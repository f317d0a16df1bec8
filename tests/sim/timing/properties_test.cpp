// What every timing model owes (docs/timing.md), over random launches and machines.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <random>
#include <vector>

#include "sim/timing/durations.h"
#include "sim/timing/timer.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t upto(int64_t most) { return 1 + int64_t(engine_() % uint64_t(most)); }
  template <class T>
  T one_of(std::initializer_list<T> all) {
    return all.begin()[engine_() % all.size()];
  }

 private:
  std::mt19937_64 engine_;
};

Machine random_machine(Random& random) {
  Machine machine = load_machine("n1");
  machine.core.count = int(random.upto(20));
  machine.core.queue_depth = random.one_of({1, 2, 4, 16});
  machine.matrix.rows = random.one_of({8, 16, 64, 128});
  machine.matrix.cols = random.one_of({8, 16, 64, 128});
  machine.matrix.preload = random.upto(3) > 1;
  machine.dma.load_queues = int(random.upto(3));
  machine.dma.store_queues = int(random.upto(2));
  machine.hbm.bandwidth_gbps = double(random.one_of({100, 700, 2400, 9600}));
  machine.hbm.latency_ns = double(random.one_of({0, 100, 450}));
  machine.noc.total_bytes_per_cycle = random.one_of({128, 700, 2048});
  return machine;
}

std::unique_ptr<Sample> random_sample(Random& random) {
  switch (random.upto(3)) {
    case 1: {
      const int64_t m = 64 * random.upto(8), n = 64 * random.upto(8), k = 64 * random.upto(8);
      return std::make_unique<Sample>(
          kGemm, m / 64 * (n / 64),
          std::vector<Arg>{timed_pointer(m * k * 2), timed_pointer(k * n * 2),
                           timed_pointer(m * n * 2), Arg::integer(n), Arg::integer(k)});
    }
    case 2: {
      const int64_t n = random.upto(1 << 20);
      return std::make_unique<Sample>(
          kStream, (n + 4095) / 4096,
          std::vector<Arg>{timed_pointer(n * 4), timed_pointer(n * 4), Arg::integer(n)});
    }
    default: {
      const int64_t rows = 4 * random.upto(200), cols = random.upto(2000);
      return std::make_unique<Sample>(
          kSoftmax, rows / 4,
          std::vector<Arg>{timed_pointer(rows * cols * 4), timed_pointer(rows * cols * 4),
                           Arg::integer(cols)});
    }
  }
}

TEST(Properties, BusyAndStalledAreTheWhole) {
  Random random(1);
  for (int i = 0; i < 150; ++i) {
    const Machine machine = random_machine(random);
    const auto sample = random_sample(random);
    const Timing timing = Timer(machine).simulate(sample->launch);
    for (int r = 0; r < kResourceCount; ++r) {
      auto queues = uint64_t(machine.core.count);
      if (Resource(r) == Resource::load) queues *= uint64_t(machine.dma.load_queues);
      if (Resource(r) == Resource::store) queues *= uint64_t(machine.dma.store_queues);
      EXPECT_EQ(timing.busy[size_t(r)] + timing.stall[size_t(r)], timing.cycles * queues);
      EXPECT_LE(timing.busy[size_t(r)], timing.cycles * queues);
    }
    EXPECT_LE(timing.hbm_busy_cycles, double(timing.cycles) + 1);
    EXPECT_LE(timing.matrix_utilization(machine), 1);
    EXPECT_LE(timing.hbm_utilization(machine), 1);
  }
}

TEST(Properties, WorkDoesNotDependOnTheMemory) {
  Random random(2);
  for (int i = 0; i < 60; ++i) {
    Machine machine = random_machine(random);
    const auto sample = random_sample(random);
    const Counters before = Timer(machine).simulate(sample->launch).counters;
    machine.hbm.bandwidth_gbps *= 3;
    machine.hbm.row_miss_ns = 5;
    EXPECT_EQ(Timer(machine).simulate(sample->launch).counters, before);
  }
}

TEST(Properties, AFasterMemoryAddsAtMostHalfAPercent) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    Machine machine = random_machine(random);
    const auto sample = random_sample(random);
    auto before = double(Timer(machine).simulate(sample->launch).cycles);
    const auto faster = [&](const char* what) {
      const auto now = double(Timer(machine).simulate(sample->launch).cycles);
      EXPECT_LE(now, before * 1.005 + 2) << what << ", launch " << i;
      before = std::min(before, now);
    };
    machine.hbm.bandwidth_gbps *= 1.7;
    faster("bandwidth");
    machine.hbm.latency_ns *= 0.5;
    faster("latency");
    machine.hbm.row_miss_ns = machine.hbm.activate_ns = 0;
    faster("rows");
    machine.hbm.refresh_fraction = 0;
    faster("refresh");
    machine.hbm.turnaround_ns = 0;
    faster("turns");
  }
}

// A limit only says whether the launch takes less.
TEST(Properties, LimitsDoNotChangeTheAnswer) {
  Random random(6);
  for (int i = 0; i < 60; ++i) {
    const Machine machine = random_machine(random);
    const auto sample = random_sample(random);
    const Timer timer(machine);
    const Timing timing = timer.simulate(sample->launch);
    for (const double memory_cycles : {0.0, timing.hbm_busy_cycles}) {
      const auto below = timer.simulate_below(sample->launch, {timing.cycles + 1, memory_cycles});
      ASSERT_TRUE(below) << "launch " << i;
      EXPECT_EQ(below->cycles, timing.cycles);
      EXPECT_EQ(below->counters, timing.counters);
      EXPECT_FALSE(timer.simulate_below(sample->launch, {timing.cycles, memory_cycles}));
    }
  }
}

// docs/timing.md, "A bigger array".
TEST(Properties, ABiggerArrayCostsAtMostItsFill) {
  constexpr int kSide = 64;    // of kGemm's products
  constexpr int kBuffers = 4;  // of its operands
  Random random(4);
  for (int i = 0; i < 2400; ++i) {
    Machine machine = random_machine(random);
    const bool contended = i % 6 != 0;
    if (!contended) {
      machine.hbm.bandwidth_gbps = 40000;
      machine.noc.total_bytes_per_cycle = 65536;
    }
    machine.matrix.load_rows = random.one_of({1, 2, 4});
    Machine bigger = machine;
    const int64_t grown = random.upto(3);
    if (grown != 1) bigger.matrix.rows *= 2;
    if (grown != 2) bigger.matrix.cols *= 2;

    const int64_t m = kSide * random.upto(6), n = kSide * random.upto(6),
                  k = kSide * random.upto(6);
    const Sample gemm = gemm_sample(m, n, k);
    const int64_t programs = (gemm.launch.grid + machine.core.count - 1) / machine.core.count;
    const int64_t products = programs * (k / kSide);  // of a core
    const Duration before = matrix_duration(machine, DType::bf16, kSide, kSide, kSide);
    const Duration after = matrix_duration(bigger, DType::bf16, kSide, kSide, kSide);
    const auto more = [](uint64_t now, uint64_t then) {
      return std::max<int64_t>(0, int64_t(now) - int64_t(then));
    };
    const int64_t least = int64_t(Timer(machine).simulate(gemm.launch).cycles);
    const int64_t most = least + programs * more(after.latency, before.latency) +
                         products * more(after.occupancy, before.occupancy) +
                         products * more(after.sources, before.sources) / kBuffers;
    // Products that end earlier ask for the memory in another order. docs/timing.md says how rarely
    // that costs more than this.
    const int64_t disorder = contended ? most / 1000 : 0;
    EXPECT_LE(int64_t(Timer(bigger).simulate(gemm.launch).cycles), most + disorder)
        << "launch " << i;
  }
}

TEST(Properties, MoreIterationsNeverTakeLess) {
  Random random(5);
  for (int i = 0; i < 40; ++i) {
    const Machine machine = random_machine(random);
    uint64_t before = 0;
    for (int64_t k = 64; k <= 512; k += 64) {
      const Sample gemm = gemm_sample(128, 192, k);
      const uint64_t now = Timer(machine).simulate(gemm.launch).cycles;
      EXPECT_GE(now, before);
      before = now;
    }
  }
}

}  // namespace
}  // namespace npu::sim

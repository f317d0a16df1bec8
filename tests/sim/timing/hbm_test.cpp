#include "sim/timing/hbm.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "sim/timing/timer.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

// Stretches that the footprint touches, found byte by byte; only for footprints without an index.
int64_t touched_by_hand(const Footprint& footprint, int64_t bytes, bool joined) {
  std::vector<int64_t> starts = {footprint.offset};
  for (int i = 0; i < footprint.dims; ++i) {
    std::vector<int64_t> more;
    for (const int64_t start : starts) {
      for (int64_t j = 0; j < footprint.size[size_t(i)]; ++j) {
        more.push_back(start + j * footprint.stride[size_t(i)]);
      }
    }
    starts = more;
  }
  std::set<int64_t> touched;
  int64_t sum = 0;
  for (const int64_t start : starts) {
    const int64_t first = start / bytes;
    const int64_t last = (start + footprint.run - 1) / bytes;
    sum += last - first + 1;
    for (int64_t stretch = first; stretch <= last; ++stretch) touched.insert(stretch);
  }
  return joined ? int64_t(touched.size()) : sum;
}

TEST(TouchedStretches, AlignedRunsAreCountedExactly) {
  std::mt19937_64 random(3);
  const auto upto = [&](int64_t most) { return int64_t(random() % uint64_t(most)) + 1; };
  for (int i = 0; i < 3000; ++i) {
    Footprint footprint;
    footprint.offset = upto(4096) - 1;
    footprint.run = upto(3000);
    footprint.dims = int(random() % 3);
    int64_t reach = (footprint.run + 4095) / 2048;
    for (int dim = footprint.dims - 1; dim >= 0; --dim) {  // ever farther apart, in whole rows
      footprint.stride[size_t(dim)] = (reach + upto(3)) * 2048;
      footprint.size[size_t(dim)] = upto(5);
      reach = footprint.stride[size_t(dim)] / 2048 * footprint.size[size_t(dim)];
    }
    for (const int64_t bytes : {64, 512, 2048}) {
      EXPECT_EQ(touched_stretches(footprint, bytes, false),
                touched_by_hand(footprint, bytes, false));
    }
  }
}

TEST(TouchedStretches, OtherRunsOnTheAverage) {
  std::mt19937_64 random(4);
  const auto upto = [&](int64_t most) { return int64_t(random() % uint64_t(most)) + 1; };
  for (int i = 0; i < 150; ++i) {
    Footprint footprint;
    footprint.offset = upto(4096) - 1;
    footprint.run = upto(500);
    footprint.dims = 1;
    footprint.size[0] = 2048 * upto(2);  // every place in a stretch as often as any other
    footprint.stride[0] = footprint.run + upto(5000);
    for (const int64_t bytes : {64, 512, 2048}) {
      const auto by_hand = touched_by_hand(footprint, bytes, false);
      EXPECT_EQ(touched_stretches(footprint, bytes, false), by_hand);
      const auto joined = double(touched_by_hand(footprint, bytes, true));
      EXPECT_NEAR(double(touched_stretches(footprint, bytes, true)), joined, 1 + 0.001 * joined);
    }
  }
}

TEST(TouchedStretches, NeighboursShareARow) {
  const Footprint columns{.offset = 0, .run = 64, .dims = 1, .size = {32}, .stride = {128}};
  EXPECT_EQ(touched_stretches(columns, 64, false), 32);
  EXPECT_EQ(touched_stretches(columns, 2048, true), 2);
  EXPECT_EQ(touched_stretches(columns, 2048, false), 32);
  const Footprint gathered{.run = 64, .scattered = 32, .scatter_stride = 64};
  EXPECT_EQ(touched_stretches(gathered, 2048, true), 32);
}

// Loads `rows` runs of `run` f32 elements `stride` apart, rounds times each program; columns of
// blocks side by side.
constexpr std::string_view kRead = R"(
.kernel read
.arg x ptr
.arg run i64
.arg rows i64
.arg stride i64
.arg step i64
.arg rounds i64
.tile t f32 16384 x8
s.mul r0, %pid, step
s.mul r0, r0, rounds
loop r1, rounds
d.load t, x[r0], (rows | run):(stride | 1)
s.add r0, r0, step
endloop
exit
)";

// The share of the peak that the bursts of a reading launch reach while it streams.
double reached(const Machine& machine, int64_t run, int64_t rows, int64_t stride, int64_t step) {
  const int64_t burst = machine.dma.burst_bytes / 4;
  const auto cycles = [&](int64_t rounds) {
    const Sample sample(kRead, machine.core.count,
                        {timed_pointer(int64_t{1} << 40), Arg::integer(run), Arg::integer(rows),
                         Arg::integer(stride), Arg::integer(step), Arg::integer(rounds)});
    return double(Timer(machine).simulate(sample.launch).cycles);
  };
  const double bytes =
      double((run + burst - 1) / burst * burst * rows * 4) * 200 * machine.core.count;
  return bytes / (cycles(250) - cycles(50)) / machine.hbm_bytes_per_cycle();
}

// The documented closed form for runs of `bytes` bytes in rows of their own.
double documented(const Machine& machine, double bytes) {
  const double ns = bytes * machine.hbm.channels / machine.hbm.bandwidth_gbps;
  return (1 - machine.hbm.refresh_fraction) /
         (std::max(1.0, machine.hbm.activate_ns / ns) + machine.hbm.row_miss_ns / ns);
}

Machine wide_queues(std::string_view preset) {  // set-up and ports never decide
  Machine machine = load_machine(preset);
  machine.dma.load_queues = 4;
  machine.dma.bytes_per_cycle = 1024;
  machine.noc.bytes_per_cycle = 4096;
  machine.noc.total_bytes_per_cycle = 65536;
  machine.core.scratchpad_kib = 4096;
  return machine;
}

TEST(Hbm, SequentialReadsReachTheStreamEfficiency) {
  for (const std::string preset : {"n1", "n1-edge"}) {
    SCOPED_TRACE(preset);
    const Machine machine = wide_queues(preset);
    const double efficiency = machine.hbm_stream_efficiency();
    for (const int64_t elements : {4096, 8192, 16384}) {
      EXPECT_NEAR(reached(machine, elements, 1, 0, elements) / efficiency, 1, 0.03) << elements;
    }
    EXPECT_NEAR(documented(machine, machine.hbm.row_bytes), efficiency, 1e-12);
  }
  const Machine n1 = load_machine("n1");  // as it is
  EXPECT_NEAR(reached(n1, 16384, 1, 0, 16384) / n1.hbm_stream_efficiency(), 1, 0.03);
}

TEST(Hbm, StridedReadsDegradeAsDocumented) {
  for (const std::string preset : {"n1", "n1-edge"}) {
    SCOPED_TRACE(preset);
    const Machine machine = wide_queues(preset);
    double before = 0;
    for (const int64_t run : {16, 32, 64, 128, 256, 512}) {
      const double now = reached(machine, run, 16384 / run, 1024, 1024 * 1024);
      EXPECT_NEAR(now / documented(machine, double(run) * 4), 1, 0.03) << run;
      EXPECT_GT(now, before);
      before = now;
    }
  }
}

// Rows of 64 elements, found through an index tile.
constexpr std::string_view kRandom = R"(
.kernel random
.arg x ptr
.arg run i64
.arg rounds i64
.tile i i64 256
.tile t f32 16384 x8
v.iota i, 0, 1, 0, (256, 1)
loop r1, rounds
d.gather t, x[0], i, 512, (run):(1)
endloop
exit
)";

TEST(Hbm, RandomReadsDegradeAsDocumented) {
  const Machine machine = wide_queues("n1");
  for (const int64_t run : {16, 64}) {
    const auto cycles = [&](int64_t rounds) {
      const Sample sample(
          kRandom, machine.core.count,
          {timed_pointer(int64_t{1} << 40), Arg::integer(run), Arg::integer(rounds)});
      return double(Timer(machine).simulate(sample.launch).cycles);
    };
    const double bytes = double(run * 4 * 256) * 200 * machine.core.count;
    const double reached = bytes / (cycles(250) - cycles(50)) / machine.hbm_bytes_per_cycle();
    EXPECT_NEAR(reached / documented(machine, double(run) * 4), 1, 0.03) << run;
    EXPECT_LT(reached, 0.95 * machine.hbm_stream_efficiency());
  }
}

Machine roomy() {
  Machine machine = tiny_machine();
  machine.core.scratchpad_kib = 4096;
  return machine;
}

TEST(Hbm, FewChannelsBoundASmallTransfer) {
  Machine machine = roomy();
  machine.dma.bytes_per_cycle = 4096;
  machine.noc.bytes_per_cycle = machine.noc.total_bytes_per_cycle = 4096;
  machine.hbm.channels = 8;
  machine.hbm.bandwidth_gbps = 512;  // 64 bytes a cycle and channel
  machine.hbm.interleave_bytes = 256;
  machine.hbm.row_bytes = 1024;
  const auto cycles = [&](int64_t elements) {
    const Sample sample(kRead, 1,
                        {timed_pointer(1 << 20), Arg::integer(elements), Arg::integer(1),
                         Arg::integer(1), Arg::integer(0), Arg::integer(1)});
    // Without issue, set-up and latency.
    return Timer(machine).simulate(sample.launch).cycles - 4 - 10 - 100;
  };
  EXPECT_EQ(cycles(64), 4u);    // a piece: one channel
  EXPECT_EQ(cycles(128), 4u);   // two
  EXPECT_EQ(cycles(192), 4u);   // three
  EXPECT_EQ(cycles(512), 4u);   // all eight
  EXPECT_EQ(cycles(1024), 8u);  // twice each
  EXPECT_EQ(cycles(16), 1u);
}

TEST(Hbm, CopiesLoseLittleToTurning) {
  const Machine machine = load_machine("n1");
  const Hbm prices(machine);
  Hbm hbm(machine);
  const Footprint piece{.offset = 0, .run = 16384};
  uint64_t streamed = 0;
  for (int i = 0; i < 100; ++i) streamed = hbm.serve(0, prices.price(piece, true, false));
  Hbm mixed(machine);
  uint64_t copied = 0;
  for (int i = 0; i < 50; ++i) {
    mixed.serve(0, prices.price(piece, true, false));
    copied = mixed.serve(0, prices.price(piece, false, true));
  }
  EXPECT_GT(copied, streamed);
  EXPECT_LT(double(copied), 1.03 * double(streamed));
  const double turns = 12 * machine.clock_ghz * (50 * 16384.0 / 32768 / machine.hbm.channels);
  EXPECT_NEAR(double(copied - streamed) / double(to_ticks(1)), turns, 1);
  Hbm written(machine);
  uint64_t filled = 0;
  for (int i = 0; i < 100; ++i) filled = written.serve(0, prices.price(piece, false, true));
  EXPECT_EQ(filled, streamed);  // nothing is read, nobody turns
}

TEST(Hbm, ReadsGoBeforeWritesAndShortOnesFirst) {
  const Machine machine = load_machine("n1");
  const Hbm prices(machine);
  const HbmAccess write = prices.price({.run = 16384}, false, true);
  const HbmAccess read = prices.price({.run = 16384}, true, false);
  const HbmAccess row = prices.price({.run = machine.hbm.row_bytes}, true, false);
  Hbm hbm(machine);
  const uint64_t written = hbm.serve(0, write);
  const uint64_t first = hbm.serve(0, read);
  EXPECT_EQ(first, Hbm(machine).serve(0, read));
  EXPECT_EQ(hbm.serve(0, row), Hbm(machine).serve(0, row));
  EXPECT_EQ(hbm.serve(0, read), first + row.ticks + read.ticks);
  EXPECT_EQ(hbm.drained(), written + 2 * read.ticks + row.ticks);
  const uint64_t last = hbm.serve(0, write);
  EXPECT_EQ(last, written + 2 * read.ticks + row.ticks + write.ticks + write.turn);
  EXPECT_EQ(hbm.drained(), last);
  EXPECT_EQ(hbm.busy(), last);
}

TEST(Hbm, AlignmentWithinABurstCounts) {
  const auto bursts = [](int64_t offset, int64_t element) {
    const Sample sample(kRead, 1,
                        {timed_pointer(1 << 20, offset), Arg::integer(64), Arg::integer(1),
                         Arg::integer(1), Arg::integer(0), Arg::integer(1)});
    Launch launch = sample.launch;
    launch.args[4] = Arg::integer(element);
    return Timer(roomy()).simulate(launch).hbm_busy_cycles;
  };
  EXPECT_EQ(bursts(0, 0), 4);
  EXPECT_EQ(bursts(4, 0), 5);  // the pointer points into its allocation
  EXPECT_EQ(bursts(64, 0), 4);
  // A remembered answer knows it too.
  Timer timer(roomy());
  const Sample sample(kRead, 1,
                      {timed_pointer(1 << 20), Arg::integer(64), Arg::integer(1), Arg::integer(1),
                       Arg::integer(0), Arg::integer(1)});
  Launch moved = sample.launch;
  moved.args[0] = timed_pointer(1 << 20, 4);
  EXPECT_EQ(timer.time(moved).hbm_busy_cycles, 5);
  EXPECT_EQ(timer.time(sample.launch).hbm_busy_cycles, 4);
  moved.args[0] = timed_pointer(1 << 20, 4096);
  EXPECT_EQ(&timer.time(moved), &timer.time(sample.launch));
}

TEST(Noc, TheTrunkIsShared) {
  Machine machine = wide_queues("n1");
  machine.noc.bytes_per_cycle = 128;
  machine.noc.total_bytes_per_cycle = 512;
  const double share = 512 / machine.hbm_bytes_per_cycle();
  EXPECT_NEAR(reached(machine, 16384, 1, 0, 16384) / share, 1, 0.01);
}

}  // namespace
}  // namespace npu::sim

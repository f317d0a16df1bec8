#include "sim/timing/timer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/error.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

constexpr std::string_view kDeclarations =
    ".kernel k\n.arg x ptr\n.arg n i64\n"
    ".tile a f32 64\n.tile b f32 64\n.tile c f32 64\n.tile d f32 64\n.tile e f32 64\n"
    ".tile f f32 64\n.tile a2 f32 64 x2\n.tile ha bf16 64\n.tile hb bf16 64\n.tile i i32 64\n";

// One program on the machine of sample_programs.h: latency 100, 64 bytes a cycle everywhere, 10
// cycles to set a DMA up, 16 lanes with 5 cycles of latency, a 4x4 array with preload.
Timing time_of(const std::string& body, const Machine& machine = tiny_machine(), int64_t grid = 1,
               int64_t n = 0) {
  const Program program = assemble(std::string(kDeclarations) + body + "\nexit\n");
  const Launch launch{&program, grid, {timed_pointer(4096), Arg::integer(n)}};
  return Timer(machine).simulate(launch);
}
uint64_t cycles(const std::string& body, const Machine& machine = tiny_machine()) {
  return time_of(body, machine).cycles;
}

TEST(TimerByHand, IssueTakesOneCycleAnInstruction) {
  EXPECT_EQ(cycles(""), 1u);
  EXPECT_EQ(cycles("s.mov r0, 1\ns.mov r1, 1\ns.mov r2, 1"), 4u);
  EXPECT_EQ(cycles("loop r0, 5\nendloop"), 7u);
}

TEST(TimerByHand, ALaunchStartsWhenItsCoresDo) {
  Machine machine = tiny_machine();
  machine.core.start_cycles = 1000;
  EXPECT_EQ(cycles("", machine), 1001u);
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)", machine), 1115u);
  const Timing timing = time_of("d.load a, x[0], (64):(1)", machine);
  for (int i = 0; i < kResourceCount; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(timing.busy[at] + timing.stall[at], 1115u) << name(static_cast<Resource>(i));
  }
}

TEST(TimerByHand, LoadComputeStore) {
  // Issued in cycle 0, set up 1 to 11, 256 bytes until 15, latency until 115.
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)"), 115u);
  // 64 elements on 16 lanes: 115 to 119, result at 124.
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)\nv.add b, a, 1.0"), 124u);
  // Set up 124 to 134, moved at 138, there at 238.
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)\nv.add b, a, 1.0\nd.store x[0], b, (64):(1)"), 238u);
}

TEST(TimerByHand, ALaunchEndsWhenTheMemoryHasServedAll) {
  Machine machine = tiny_machine();
  machine.hbm.row_bytes = 64;
  machine.hbm.channels = 1;
  machine.dma.bytes_per_cycle = machine.noc.bytes_per_cycle = 4096;
  machine.noc.total_bytes_per_cycle = 4096;
  // Filled at 1 + 4 + 5, set up until 20; 256 bytes until 24, there at 124.
  const std::string store = "v.fill c, 0.0, (1, 64)\nd.store x[0], c, (64):(1)";
  EXPECT_EQ(cycles(store, machine), 124u);
  // The load waits for the second fill, 5 + 2 + 5, and is set up until 22. It overtakes the store:
  // its bytes have passed at 26, there at 126. The store's last ones pass at 28.
  EXPECT_EQ(cycles("v.fill c, 0.0, (1, 64)\nv.fill a, 0.0, (1, 32)\nd.store x[0], c, (64):(1)\n"
                   "d.load a, x[0], (64):(1)",
                   machine),
            128u);
}

TEST(TimerByHand, WriteAfterReadAndWriteAfterWrite) {
  // The copy reads a until 119; only then may the second load begin: 119 + 10 + 4 + 100.
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)\nv.copy b, a\nd.load a, x[0], (64):(1)"), 233u);
  // With two buffers it begins when the queue is free, at 15.
  EXPECT_EQ(cycles("d.load a2, x[0], (64):(1)\nv.copy b, a2\nd.load a2, x[0], (64):(1)"), 129u);
  // The fill waits for the load's data: 115 + 4 + 5.
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)\nv.fill a, 0.0, (1, 64)"), 124u);
  // The store has read c when it has moved it: 1 + 4 + 5, then 14.
  Machine near = tiny_machine();
  near.hbm.latency_ns = 1;
  EXPECT_EQ(cycles("v.fill c, 0.0, (1, 64)\nd.store x[0], c, (64):(1)\nv.fill c, 0.0, (1, 64)\n"
                   "v.copy d, c\nv.copy e, d",
                   near),
            24u + 3 * 9);
}

TEST(TimerByHand, MatrixAccumulatesWithoutWaitingForTheDrain) {
  const std::string fills = "v.fill ha, 0.0, (8, 4)\nv.fill hb, 0.0, (4, 4)\n";
  // Fills: 32 and 16 elements on 32 lanes, starting at 1 and 2, done at 7 and 8. One product of 8
  // rows: 8 cycles of occupancy, 4 + 8 + 4 + 4 - 3 = 17 of latency.
  EXPECT_EQ(cycles(fills + "m.mma.zero c, ha, hb"), 25u);
  EXPECT_EQ(cycles(fills + "m.mma.zero c, ha, hb\nm.mma c, ha, hb"), 33u);
  // The vector engine sees the sum after the drain: 33 + 2 + 5.
  EXPECT_EQ(cycles(fills + "m.mma.zero c, ha, hb\nm.mma c, ha, hb\nv.copy d, c"), 40u);
  // The sources are read 4 + 8 cycles after the start at 8: the fill runs from 20 to 21.
  EXPECT_EQ(cycles(fills + "m.mma.zero c, ha, hb\nv.fill ha, 0.0, (8, 4)"), 26u);
  // A vector result in the accumulator is waited for: 8 + 2 + 5 = 15 (fill of c), then 17.
  EXPECT_EQ(cycles(fills + "v.fill c, 0.0, (8, 4)\nm.mma c, ha, hb"), 3u + 2 + 5 + 17);
}

TEST(TimerByHand, FullQueuesStallIssue) {
  const std::string fills =
      "v.fill a, 0.0, (1, 64)\nv.fill b, 0.0, (1, 64)\nv.fill c, 0.0, (1, 64)\n"
      "v.fill d, 0.0, (1, 64)\nv.fill e, 0.0, (1, 64)\n";
  const std::string load = "d.load f, x[0], (64):(1)";
  Machine machine = tiny_machine();
  // Five fills of 4 cycles start at 1, 5, 9, 13, 17; with room for two they issue in 0, 1, 2, 5, 9.
  EXPECT_EQ(cycles(fills + load, machine), 6u + 14 + 100);
  machine.core.queue_depth = 2;
  EXPECT_EQ(cycles(fills + load, machine), 11u + 14 + 100);
  const Timing timing = time_of(fills, machine);
  EXPECT_EQ(timing.cycles, 26u);
  EXPECT_EQ(timing.busy[size_t(Resource::scalar)], 6u);
  EXPECT_EQ(timing.busy[size_t(Resource::vector)], 20u);
  EXPECT_EQ(timing.stall[size_t(Resource::vector)], 6u);
}

TEST(TimerByHand, LoadsTakeTheQueueThatFreesFirst) {
  const std::string body =
      "d.load a, x[0], (64):(1)\nd.load b, x[0], (1):(1)\nd.load c, x[0], (64):(1)";
  // One queue: 1 to 15, 15 to 26, 26 to 40.
  EXPECT_EQ(cycles(body), 140u);
  // Two: 1 to 15 and 2 to 16 (the memory is taken until 15), the third follows the first until 29.
  Machine machine = tiny_machine();
  machine.dma.load_queues = 2;
  EXPECT_EQ(cycles(body, machine), 129u);
  // Memory and network at half the speed: 11 to 19, to 21, then 15 + 10 to 33.
  machine.noc.bytes_per_cycle = 32;
  EXPECT_EQ(cycles("d.load a, x[0], (64):(1)", machine), 119u);
}

TEST(TimerByHand, ScalarLoadsStallIssue) {
  const Program program =
      assemble(std::string(kDeclarations) +
               "s.load.i64 r0, x[0]\nloop r1, r0\nv.fill a, 0.0, (1, 64)\nendloop\nexit\n");
  int64_t count = 2;
  const Launch launch{
      &program,
      1,
      {Arg::pointer({reinterpret_cast<std::byte*>(&count), 0, 8, 0}), Arg::integer(0)}};
  Timer timer(tiny_machine());
  // 1 + 100 cycles, then loop in 101, fills issued in 102 and 104: 103 + 4, then until 111 + 5.
  // The second one writes the same buffer and waits for the first: 112 + 4 + 5.
  EXPECT_EQ(timer.time(launch).cycles, 121u);
  EXPECT_EQ(timer.time(launch).counters.dma_read_bytes, 8u);
  EXPECT_EQ(timer.time(launch).counters.scalar_instructions, 5u);
  count = 3;  // the time follows the data
  EXPECT_EQ(timer.time(launch).cycles, 130u);
}

TEST(TimerByHand, ScalarLoadsOverlapUntilAValueIsUsed) {
  const auto cycles = [](const std::string& body) {
    const Program program = assemble(std::string(kDeclarations) + body + "exit\n");
    std::vector<int64_t> data(8, 1);
    const Launch launch{
        &program,
        1,
        {Arg::pointer({reinterpret_cast<std::byte*>(data.data()), 0, 64, 0}), Arg::integer(0)}};
    return Timer(tiny_machine()).simulate(launch).cycles;
  };
  // Issued in 0 and 1, the values are there at 101 and 102.
  EXPECT_EQ(cycles("s.load.i64 r0, x[0]\ns.load.i64 r1, x[1]\n"), 102u);
  EXPECT_EQ(cycles("s.load.i64 r0, x[0]\ns.load.i64 r1, x[1]\ns.mov r2, r0\n"), 104u);
  // Other instructions go on meanwhile: 4 scalars before the use do not add.
  EXPECT_EQ(cycles("s.load.i64 r0, x[0]\ns.mov r1, 1\ns.mov r2, 1\ns.mov r2, r0\n"), 103u);
  // An address that was loaded: one after the other.
  EXPECT_EQ(cycles("s.load.i64 r0, x[0]\ns.load.i64 r1, x[r0]\ns.mov r2, r1\n"), 204u);
  // A tile instruction waits as well: fill in 101, 102 to 106, and 5.
  EXPECT_EQ(cycles("s.load.i64 r0, x[0]\nv.fill i, r0, (1, 64)\n"), 102u + 4 + 5);
  EXPECT_EQ(cycles("s.load.i64 r0, x[0]\nv.fill i, 0, (1, 64)\ns.mov r1, r0\n"), 103u);
}

TEST(TimerByHand, StridesRoundUpToBursts) {
  const auto cost = [](const std::string& body) { return time_of(body).hbm_busy_cycles; };
  EXPECT_EQ(cost("d.load a, x[0], (64):(1)"), 4);
  EXPECT_EQ(cost("d.load a, x[0], (4 | 16):(64 | 1)"), 4);  // runs of 64 bytes
  EXPECT_EQ(cost("d.load a, x[0], (8 | 8):(64 | 1)"), 8);   // runs of 32
  EXPECT_EQ(cost("d.load a, x[0], (8 | 8):(8 | 1)"), 4);    // one run after all
  EXPECT_EQ(cost("d.load a, x[0], (8 | 8):(1 | 8)"), 4);    // transposed on the way
  EXPECT_EQ(cost("d.load a, x[63], (64):(-1)"), 4);         // reversed on the way
  EXPECT_EQ(cost("d.load a, x[0], (64):(16)"), 64);
  EXPECT_EQ(cost("d.load a, x[0], (4 | 16):(1 | 0)"), 1);  // repeats what it has
  EXPECT_EQ(cost("d.load a, x[0], (4 | 16):(0 | 1)"), 1);
  EXPECT_EQ(cost("d.load a, x[0], (0):(1)"), 0);
  EXPECT_EQ(cost("v.iota i, 0, 1, 0, (1, 8)\nd.gather a, x[0], i, 8, (8):(1)"), 8);
  EXPECT_EQ(cost("v.fill a, 0.0, (1, 64)\nd.store x[0], a, (64):(1)"), 4);
  EXPECT_EQ(cost("v.fill a, 0.0, (1, 64)\nd.store.add x[0], a, (64):(1)"), 8);
}

TEST(TimerByHand, VectorCosts) {
  // What the engine is busy for, beyond the fills and iotas that make the operands.
  const auto cost = [](const std::string& operands, const std::string& body) {
    const auto busy = [](const Timing& timing) { return timing.busy[size_t(Resource::vector)]; };
    return busy(time_of(operands + body)) - busy(time_of(operands));
  };
  const std::string f32 = "v.fill a, 0.0, (4, 16)\n";
  EXPECT_EQ(cost(f32, "v.neg b, a"), 4u);
  EXPECT_EQ(cost(f32, "v.exp b, a"), 16u);
  EXPECT_EQ(cost(f32, "v.tan b, a"), 32u);
  EXPECT_EQ(cost(f32, "v.copy ha, a"), 4u);  // the widest operand decides
  EXPECT_EQ(cost("v.fill ha, 0.0, (4, 16)\n", "v.neg hb, ha"), 2u);
  EXPECT_EQ(cost(f32, "v.reduce.sum b, a"), 4u + 4);
  EXPECT_EQ(cost(f32, "v.reduce.sum.rows b, a"), 4u + 2);
  EXPECT_EQ(cost(f32, "v.transpose b, a"), 4u);
  EXPECT_EQ(cost(f32, "v.reshape a, (1, 64)"), 1u);
  EXPECT_EQ(cost(f32 + "v.iota i, 0, 1, 0, (4, 16)\n", "v.sort a, i, a, i"), 40u);
  EXPECT_EQ(cost(f32, "v.scan.sum b, a"), 8u + 4);
}

TEST(Timer, WideTypesAreSlower) {
  Machine machine = tiny_machine();
  const auto busy = [&](const std::string& type) {
    const Program program = assemble(".kernel k\n.tile a " + type + " 64\nv.fill a, " +
                                     (type[0] == 'i' ? "0" : "0.0") + ", (1, 64)\nexit\n");
    const Launch launch{&program, 1, {}};
    return Timer(machine).simulate(launch).busy[size_t(Resource::vector)];
  };
  EXPECT_EQ(busy("f32"), 4u);
  EXPECT_EQ(busy("bf16"), 2u);
  EXPECT_EQ(busy("i8"), 1u);
  EXPECT_EQ(busy("i64"), 8u);
  EXPECT_EQ(busy("f64"), 32u);
}

TEST(Timer, CountsByHand) {
  const Sample gemm = gemm_sample(128, 192, 256);
  const Timing timing = Timer(load_machine("n1")).simulate(gemm.launch);
  const Counters& counters = timing.counters;
  const uint64_t programs = 2 * 3;
  const uint64_t rounds = programs * 4;
  EXPECT_EQ(counters.launches, 1u);
  EXPECT_EQ(counters.matrix_instructions, rounds);
  EXPECT_EQ(counters.vector_instructions, programs * 2);
  EXPECT_EQ(counters.dma_instructions, rounds * 2 + programs);
  EXPECT_EQ(counters.scalar_instructions, programs * (9 + 1 + 2 + 1) + rounds * 3);
  EXPECT_EQ(counters.dma_read_bytes, rounds * 2 * 64 * 64 * 2);
  EXPECT_EQ(counters.dma_write_bytes, 128u * 192 * 2);
  EXPECT_EQ(counters.macs, 128u * 192 * 256);
  // 64 of 128 rows and columns of the array are used.
  EXPECT_EQ(counters.padded_macs, counters.macs * 3);
}

TEST(Timer, UsefulWorkIsTheInstructionsWord) {
  const Timing timing = time_of(
      "v.fill ha, 0.0, (8, 4)\nv.fill hb, 0.0, (4, 4)\nm.mma.zero c, ha, hb, 20\n"
      "v.fill f, 0.0, (1, 1)\nd.store.add x[0], f, ():()");
  EXPECT_EQ(timing.counters.macs, 20u * 4);
  EXPECT_EQ(timing.counters.padded_macs, 12u * 4);
  EXPECT_EQ(timing.counters.dma_read_bytes, 4u);
  EXPECT_EQ(timing.counters.dma_write_bytes, 4u);
}

struct Named {
  std::string name;
  std::unique_ptr<Sample> sample;
};
std::vector<Named> samples() {
  std::vector<Named> all;
  const auto add = [&](std::string name, std::string_view text, int64_t grid,
                       std::vector<Arg> args) {
    all.push_back({std::move(name), std::make_unique<Sample>(text, grid, std::move(args))});
  };
  const Sample gemm = gemm_sample(512, 512, 1024);
  const Sample wide = gemm_sample(64, 4096, 512);
  const Sample stream = stream_sample(1 << 20);
  const Sample one = stream_sample(1000);
  const Sample softmax = softmax_sample(512, 1024);
  add("gemm", kGemm, gemm.launch.grid, gemm.launch.args);
  add("wide", kGemm, wide.launch.grid, wide.launch.args);
  add("stream", kStream, stream.launch.grid, stream.launch.args);
  add("one", kStream, one.launch.grid, one.launch.args);
  add("softmax", kSoftmax, softmax.launch.grid, softmax.launch.args);
  return all;
}

Machine small_n1() {
  Machine machine = load_machine("n1");
  machine.core.count = 5;
  machine.dma.load_queues = 3;
  machine.dma.store_queues = 2;
  machine.core.queue_depth = 3;
  machine.matrix.preload = false;
  return machine;
}

TEST(Timer, BusyAndStallMakeTheWhole) {
  for (const Machine& machine : {load_machine("n1"), small_n1()}) {
    for (const Named& named : samples()) {
      SCOPED_TRACE(named.name);
      const Timing timing = Timer(machine).simulate(named.sample->launch);
      for (int i = 0; i < kResourceCount; ++i) {
        const auto resource = static_cast<Resource>(i);
        uint64_t queues = 1;
        if (resource == Resource::load) queues = uint64_t(machine.dma.load_queues);
        if (resource == Resource::store) queues = uint64_t(machine.dma.store_queues);
        EXPECT_EQ(timing.busy[size_t(i)] + timing.stall[size_t(i)],
                  timing.cycles * uint64_t(machine.core.count) * queues)
            << name(resource);
      }
      EXPECT_LE(timing.hbm_busy_cycles, double(timing.cycles));
    }
  }
}

bool same(const Timing& a, const Timing& b) {
  return a.cycles == b.cycles && a.counters == b.counters && a.busy == b.busy &&
         a.stall == b.stall && a.hbm_busy_cycles == b.hbm_busy_cycles;
}

TEST(Timer, IsDeterministicAndBlindToAddresses) {
  const Machine machine = load_machine("n1");
  for (const Named& named : samples()) {
    SCOPED_TRACE(named.name);
    const Timing first = Timer(machine).simulate(named.sample->launch);
    EXPECT_TRUE(same(first, Timer(machine).simulate(named.sample->launch)));
    Launch moved = named.sample->launch;
    for (Arg& arg : moved.args) {
      arg.buffer.address += 0x123400;
      arg.buffer.lower -= 4096;
    }
    for (size_t i = 0; i < moved.args.size(); ++i) {
      if (moved.program->args[i].kind != ArgKind::pointer) moved.args[i].buffer = {};
    }
    EXPECT_TRUE(same(first, Timer(machine).simulate(moved)));
  }
}

TEST(Timer, MoreBandwidthIsNeverSlower) {
  for (const Named& named : samples()) {
    SCOPED_TRACE(named.name);
    Machine machine = load_machine("n1");
    double before = 1e18;
    for (const double gbps : {300, 450, 600, 1000, 1200, 2000, 2400, 3600, 4800, 9600}) {
      machine.hbm.bandwidth_gbps = gbps;
      const auto now = double(Timer(machine).simulate(named.sample->launch).cycles);
      EXPECT_LE(now, before * 1.005) << gbps << " GB/s";
      before = now;
    }
  }
}

TEST(Timer, HalfTheBandwidthDoublesACopy) {
  const Sample stream = stream_sample(1 << 22);
  Machine machine = load_machine("n1");
  const Timing full = Timer(machine).simulate(stream.launch);
  EXPECT_GT(full.hbm_utilization(machine), 0.92 * machine.hbm_stream_efficiency());
  EXPECT_EQ(full.bound_by(), "memory");
  machine.hbm.bandwidth_gbps /= 2;
  const Timing half = Timer(machine).simulate(stream.launch);
  EXPECT_NEAR(double(half.cycles) / double(full.cycles), 2, 0.1);
}

TEST(Timer, ALargerArrayIsFasterAndNothingBeatsThePeak) {
  const Sample gemm = gemm_sample(1024, 1024, 1024);
  Machine machine = load_machine("n1");
  machine.core.count = 4;
  machine.hbm.bandwidth_gbps = 9600;
  machine.matrix.rows = machine.matrix.cols = 32;
  const Timing small = Timer(machine).simulate(gemm.launch);
  EXPECT_EQ(small.bound_by(), "matrix");
  EXPECT_GT(small.matrix_utilization(machine), 0.5);
  EXPECT_LE(small.matrix_utilization(machine), 1);
  machine.matrix.rows = machine.matrix.cols = 64;
  const Timing large = Timer(machine).simulate(gemm.launch);
  EXPECT_LT(large.cycles, small.cycles);
  EXPECT_EQ(large.counters.macs, small.counters.macs);
}

TEST(Timer, UtilizationCountsAgainstTheOperandsOwnRate) {
  for (const std::string type : {"i8", "bf16", "f32", "f64"}) {
    SCOPED_TRACE(type);
    const std::string sum = type == "i8" ? "i32" : type == "f64" ? "f64" : "f32";
    const Program program =
        assemble(".kernel p\n.tile a " + type + " 4096\n.tile b " + type + " 64\n.tile c " + sum +
                 " 4096\nv.fill a, " + (type == "i8" ? "1" : "1.0") + ", (512, 8)\nv.fill b, " +
                 (type == "i8" ? "1" : "1.0") +
                 ", (8, 8)\nm.mma.zero c, a, b\nloop r0, 99\nm.mma c, a, b\nendloop\n");
    Machine machine = tiny_machine();
    machine.core.scratchpad_kib = 1024;
    machine.matrix.rate_16bit = 1;
    machine.matrix.rate_8bit = 4;
    machine.matrix.rate_fp32 = 0.5;
    machine.matrix.rate_64bit = 0.25;
    const Timing timing = Timer(machine).simulate({&program, 1, {}});
    EXPECT_EQ(timing.counters.macs, 100u * 512 * 8 * 8);
    EXPECT_GT(timing.matrix_utilization(machine), 0.9);
    EXPECT_LE(timing.matrix_utilization(machine), 1);
  }
}

TEST(Timer, MoreWorkTakesLonger) {
  const Machine machine = load_machine("n1");
  uint64_t before = 0;
  for (int64_t n = 4096; n <= 1 << 20; n *= 2) {
    const Sample stream = stream_sample(n);
    const uint64_t now = Timer(machine).simulate(stream.launch).cycles;
    EXPECT_GE(now, before);
    before = now;
  }
}

TEST(Timer, ProgramsGoRoundTheCores) {
  Machine machine = tiny_machine();
  machine.core.count = 4;
  // Every fourth program works, which is always the same core's; or the first four, one a core.
  const std::string work = "if r0\nloop r1, 50\nv.fill a, 0.0, (1, 64)\nendloop\nendif";
  const uint64_t one_core =
      time_of("s.mod r0, %pid, 4\ns.eq r0, r0, 1\n" + work, machine, 16).cycles;
  const uint64_t all_cores = time_of("s.lt r0, %pid, 4\n" + work, machine, 16).cycles;
  EXPECT_GT(one_core, 4 * all_cores - 100);
  EXPECT_LT(one_core, 4 * all_cores + 100);
}

TEST(Timer, RemembersAnswers) {
  const Machine machine = load_machine("n1");
  Timer timer(machine);
  const Sample gemm = gemm_sample(256, 256, 256);
  const Timing first = timer.time(gemm.launch);
  EXPECT_TRUE(same(first, timer.simulate(gemm.launch)));
  EXPECT_EQ(&timer.time(gemm.launch), &timer.time(gemm.launch));
  // Whatever steers makes another answer; where tensors lie does not.
  Launch other = gemm.launch;
  other.args[4] = Arg::integer(128);
  EXPECT_NE(timer.time(other).cycles, first.cycles);
  EXPECT_TRUE(same(timer.time(other), timer.simulate(other)));
  other = gemm.launch;
  other.grid = 4;
  EXPECT_NE(timer.time(other).cycles, first.cycles);
  other = gemm.launch;
  other.args[0].buffer.address += 512;
  EXPECT_EQ(&timer.time(other), &timer.time(gemm.launch));
}

TEST(Timer, TellsProgramsApartThatShareAnAddress) {
  Timer timer(tiny_machine());
  Program program = assemble(".kernel k\n.tile a f32 64\nv.fill a, 0.0, (1, 64)\nexit\n");
  const Launch launch{&program, 1, {}};
  const uint64_t before = timer.time(launch).cycles;
  program = assemble(".kernel k\n.tile a f32 64\nv.fill a, 0.0, (1, 16)\nexit\n");
  EXPECT_EQ(timer.time(launch).cycles, before - 3);
}

TEST(Timer, ErrorsComeThrough) {
  Sample stream = stream_sample(4096);
  stream.launch.args[0].buffer.upper = 100;
  try {
    Timer(load_machine("n1")).time(stream.launch);
    ADD_FAILURE() << "no error";
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfBounds);
    EXPECT_NE(std::string(error.what()).find("kernel 'stream'"), std::string::npos);
  }
}

}  // namespace
}  // namespace npu::sim

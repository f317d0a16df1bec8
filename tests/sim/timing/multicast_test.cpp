#include <gtest/gtest.h>

#include <string>

#include "sim/error.h"
#include "sim/exec/executor.h"
#include "sim/timing/timer.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

constexpr std::string_view kHead = ".arg x ptr\n.arg n i64\n.tile a f32 64\n.tile b f32 64\n";

Machine cores(int count) {
  Machine machine = tiny_machine();  // set-up 10, 64 bytes a cycle everywhere, latency 100
  machine.core.count = count;
  return machine;
}

Timing time_of(const std::string& cluster, const std::string& body, int64_t grid,
               const Machine& machine) {
  const Program program =
      assemble(".kernel k\n.cluster " + cluster + "\n" + std::string(kHead) + body + "\nexit\n");
  return Timer(machine).simulate({&program, grid, {timed_pointer(4096), Arg::integer(0)}});
}

std::string error_of(const std::string& cluster, const std::string& body, int64_t grid,
                     const Machine& machine, ErrorKind kind = ErrorKind::kCluster) {
  try {
    time_of(cluster, body, grid, machine);
  } catch (const MachineError& error) {
    EXPECT_STREQ(name(error.kind()), name(kind));
    return error.what();
  }
  return "no error";
}

TEST(Multicast, OneFetchServesTheCluster) {
  const std::string load = "d.load.across a, x[0], (64):(1)";
  const Timing shared = time_of("1 4", load, 4, cores(4));
  // Issued in 0, set up 1 to 11, 256 bytes through the memory and each port until 15.
  EXPECT_EQ(shared.cycles, 115u);
  EXPECT_EQ(shared.counters.dma_read_bytes, 256u);
  EXPECT_EQ(shared.counters.dma_instructions, 4u);
  EXPECT_EQ(shared.hbm_busy_cycles, 4);
  EXPECT_EQ(shared.busy[size_t(Resource::load)], 4u * 14);
  // Without sharing the memory serves one after the other.
  EXPECT_EQ(time_of("1 4", "d.load a, x[0], (64):(1)", 4, cores(4)).cycles, 127u);
  // A cluster of one is nobody's business.
  EXPECT_EQ(time_of("1 1", load, 4, cores(4)).cycles, 127u);
}

TEST(Multicast, CoresBeyondTheLastWholeClusterAreIdle) {
  const std::string load = "d.load.across a, x[0], (64):(1)";
  const Timing four = time_of("1 3", load, 6, cores(4));
  const Timing three = time_of("1 3", load, 6, cores(3));
  EXPECT_EQ(four.cycles, three.cycles);
  EXPECT_EQ(four.counters, three.counters);
  EXPECT_EQ(four.busy, three.busy);
  const auto loads = static_cast<size_t>(Resource::load);
  EXPECT_EQ(four.stall[loads], three.stall[loads] + three.cycles);
  // Also where nothing is shared, and folded.
  EXPECT_EQ(time_of("1 3", "d.load a, x[0], (64):(1)", 300, cores(5)).cycles,
            time_of("1 3", "d.load a, x[0], (64):(1)", 300, cores(3)).cycles);
}

TEST(Multicast, RowsAndColumns) {
  // 2 x 4: member i is in row i / 4 and column i % 4.
  const std::string place = "s.mod r0, %pid, 8\ns.div r1, r0, 4\ns.mod r2, %pid, 4\n";
  const auto fetched = [&](const std::string& body) {
    return time_of("2 4", place + body, 16, cores(8)).counters.dma_read_bytes;
  };
  EXPECT_EQ(fetched("s.mul r3, r1, 64\nd.load.across a, x[r3], (64):(1)"), 2u * 2 * 256);
  EXPECT_EQ(fetched("s.mul r3, r2, 64\nd.load.down a, x[r3], (64):(1)"), 2u * 4 * 256);
  EXPECT_EQ(fetched("d.load.across.down a, x[0], (64):(1)"), 2u * 256);
}

TEST(Multicast, StartsWhenTheLastIsReady) {
  // Program 1 comes 50 cycles later: loop, 49 times its end, and nothing else.
  const std::string late = "if %pid\nloop r1, 47\nendloop\nendif\n";
  const std::string load = "d.load.across a, x[0], (64):(1)\nd.load b, x[0], (64):(1)";
  const Timing timing = time_of("1 2", late + load, 2, cores(2));
  // Issued in 50, set up 51 to 61, there until 65; each core's second load after that, one waiting
  // for the other in the memory: 65 + 10 + 4 + 4.
  EXPECT_EQ(timing.cycles, 83u + 100);
  EXPECT_EQ(timing.counters.dma_read_bytes, 3u * 256);
}

TEST(Multicast, EndedProgramsTakeNoPart) {
  // Seven tiles of work on clusters of four.
  const std::string body = "s.lt r0, %pid, 7\nif r0\nd.load.across a, x[0], (64):(1)\nendif";
  EXPECT_EQ(time_of("1 4", body, 8, cores(4)).counters.dma_read_bytes, 2u * 256);
  const std::string first = "if %pid\nd.load.across a, x[0], (64):(1)\nendif";
  EXPECT_NE(error_of("1 4", first, 4, cores(4)).find("program 0, the first that shares this load"),
            std::string::npos);
}

TEST(Multicast, MistakesAreNamed) {
  EXPECT_NE(error_of("1 2", "d.load.across a, x[%pid], (8):(1)", 2, cores(2))
                .find("program 1, instruction 0 (d.load.across a, x[%pid], (8):(1)): the load is "
                      "shared with program 0, but offset, sizes or strides differ: byte offset 4 "
                      "and 32 bytes here, 0 and 32 there"),
            std::string::npos);
  const std::string crossed =
      "if %pid\nd.load.across a, x[0], (8):(1)\nelse\nd.load.across b, x[0], (8):(1)\nendif";
  EXPECT_NE(
      error_of("1 2", crossed, 2, cores(2))
          .find("the load is shared with program 1, which waits at instruction 1 for another"),
      std::string::npos);
  const std::string load = "d.load.across a, x[0], (8):(1)";
  EXPECT_NE(error_of("2 2", load, 6, cores(4), ErrorKind::kBadLaunch)
                .find("the grid must be a multiple of its clusters' 2 x 2 programs, got 6"),
            std::string::npos);
  const std::string large = error_of("2 4", load, 8, cores(4), ErrorKind::kBadLaunch);
  EXPECT_NE(large.find("clusters of 2 x 4 programs; machine 'n1-edge' has 4 cores"),
            std::string::npos)
      << large;
}

// c[64 * rows, 64 * cols] = a @ b, where the programs of a 2 x 2 cluster share what they load.
constexpr std::string_view kSharedGemm = R"(
.kernel gemm
.cluster 2 2
.arg a ptr
.arg b ptr
.arg c ptr
.arg n i64
.arg k i64
.tile ta bf16 4096 x4
.tile tb bf16 4096 x4
.tile acc f32 4096 x2
.tile out bf16 4096 x2
s.div r0, %pid, 4
s.div r1, n, 128
s.mod r2, r0, r1
s.div r3, r0, r1
s.mul r2, r2, 128
s.mul r3, r3, 128
s.mod r4, %pid, 2
s.mul r4, r4, 64
s.add r2, r2, r4
s.mod r4, %pid, 4
s.div r4, r4, 2
s.mul r4, r4, 64
s.add r3, r3, r4
s.mul r4, r3, k
s.mov r5, r2
s.mul r6, n, 64
s.div r7, k, 64
v.fill acc, 0.0, (64, 64)
loop r8, r7
d.load.across ta, a[r4], (64 | 64):(k | 1)
d.load.down tb, b[r5], (64 | 64):(n | 1)
m.mma acc, ta, tb
s.add r4, r4, 64
s.add r5, r5, r6
endloop
v.copy out, acc
s.mul r3, r3, n
s.add r3, r3, r2
d.store c[r3], out, (64 | 64):(n | 1)
exit
)";

TEST(Multicast, AGemmReadsEachOperandOnceACluster) {
  const int64_t m = 512, n = 512, k = 512;
  const Sample plain = gemm_sample(m, n, k);
  const Sample shared(kSharedGemm, plain.launch.grid, plain.launch.args);
  Machine machine = load_machine("n1");
  machine.hbm.bandwidth_gbps = 300;
  const Timing a = Timer(machine).simulate(plain.launch);
  const Timing b = Timer(machine).simulate(shared.launch);
  EXPECT_EQ(a.counters.macs, b.counters.macs);
  EXPECT_EQ(a.counters.dma_read_bytes, 2 * b.counters.dma_read_bytes);
  EXPECT_LT(double(b.cycles), 0.65 * double(a.cycles));
  for (int i = 0; i < kResourceCount; ++i) {
    const auto r = size_t(i);
    const uint64_t queues = Resource(i) == Resource::load ? 2 : 1;
    EXPECT_EQ(b.busy[r] + b.stall[r], b.cycles * 16 * queues);
  }
}

TEST(Multicast, TheExecutorLoadsAndCountsTheSame) {
  const int64_t m = 128, n = 256, k = 128;
  std::vector<uint16_t> a(size_t(m * k)), b(size_t(k * n)), c(size_t(m * n)), d(c.size());
  for (size_t i = 0; i < a.size(); ++i) a[i] = uint16_t(0x3f80 + i % 61);
  for (size_t i = 0; i < b.size(); ++i) b[i] = uint16_t(0xbf80 + i % 53);
  const auto pointer = [](std::vector<uint16_t>& data) {
    return Arg::pointer(
        {reinterpret_cast<std::byte*>(data.data()), 0, int64_t(data.size() * 2), 0x10000});
  };
  const Machine machine = load_machine("n1");
  const Sample plain(kGemm, 8,
                     {pointer(a), pointer(b), pointer(c), Arg::integer(n), Arg::integer(k)});
  const Sample shared(kSharedGemm, 8,
                      {pointer(a), pointer(b), pointer(d), Arg::integer(n), Arg::integer(k)});
  for (const int threads : {1, 2}) {
    Executor executor(machine, threads, 0);
    executor.run(plain.launch);
    const Counters counted = executor.run(shared.launch);
    EXPECT_EQ(c, d);
    EXPECT_EQ(counted, Timer(machine).simulate(shared.launch).counters);
  }
}

}  // namespace
}  // namespace npu::sim

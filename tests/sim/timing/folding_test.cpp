#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "sim/timing/steering.h"
#include "sim/timing/timer.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

// Folded and unfolded must agree in everything; returns the share of programs that were skipped.
double expect_same(const Machine& machine, const Launch& launch) {
  const Timer timer(machine);
  const Timing folded = timer.simulate(launch);
  const Timing plain = timer.simulate(launch, Folding::off);
  EXPECT_EQ(folded.cycles, plain.cycles);
  EXPECT_EQ(folded.counters, plain.counters);
  EXPECT_EQ(folded.busy, plain.busy);
  EXPECT_EQ(folded.stall, plain.stall);
  EXPECT_EQ(folded.hbm_busy_cycles, plain.hbm_busy_cycles);
  EXPECT_EQ(folded.cell_cycles, plain.cell_cycles);
  EXPECT_EQ(plain.folded_programs, 0);
  return double(folded.folded_programs) / double(launch.grid);
}

std::vector<Machine> machines() {
  std::vector<Machine> all = {load_machine("n1"), load_machine("n1")};
  all.back().core.count = 3;
  all.back().matrix.preload = false;
  all.push_back(load_machine("n1"));
  all.back().hbm.bandwidth_gbps = 700;
  all.back().dma.load_queues = 1;
  all.back().core.queue_depth = 3;
  all.push_back(load_machine("n1-edge"));
  all.back().core.scratchpad_kib = 4096;
  all.push_back(load_machine("n1"));
  all.back().noc.total_bytes_per_cycle = 600;
  all.back().core.count = 7;
  all.push_back(load_machine("n1"));
  all.back().hbm.bandwidth_gbps = 9600;
  return all;
}

TEST(Folding, LongStreamsFold) {
  int folded = 0;
  for (const Machine& machine : machines()) {
    const Sample stream = stream_sample((int64_t{1} << 24) + 77);  // a short one at the end
    folded += static_cast<int>(expect_same(machine, stream.launch) > 0.5);
  }
  EXPECT_GE(folded, 3);  // many cores that quarrel over the memory need not come back
}

TEST(Folding, SoftmaxOfAnyWidth) {
  for (const Machine& machine : machines()) {
    for (const int64_t cols : {64, 100, 1000, 1024, 2000}) {
      const Sample softmax = softmax_sample(4096, cols);
      expect_same(machine, softmax.launch);
    }
  }
  const Sample softmax = softmax_sample(8192, 1024);
  EXPECT_GT(expect_same(load_machine("n1"), softmax.launch), 0.5);
}

TEST(Folding, GemmsWithAndWithoutClusters) {
  for (const Machine& machine : machines()) {
    const Sample gemm = gemm_sample(1024, 1024, 256);
    expect_same(machine, gemm.launch);
  }
  Machine machine = load_machine("n1");
  machine.core.count = 4;
  const Sample gemm = gemm_sample(2048, 2048, 128);
  EXPECT_GT(expect_same(machine, gemm.launch), 0.3);
}

// Rows of a matrix in blocks of 48 by 320: edges on both sides, and every program of its own kind
// at the end of a row.
constexpr std::string_view kBlocks = R"(
.kernel blocks
.arg x ptr
.arg y ptr
.arg rows i64
.arg cols i64
.tile t bf16 15360 x3
.tile u f32 15360 x2
s.add r0, cols, 319
s.div r0, r0, 320
s.div r1, %pid, r0
s.mod r2, %pid, r0
s.mul r1, r1, 48
s.mul r2, r2, 320
s.sub r3, rows, r1
s.min r3, r3, 48
s.sub r4, cols, r2
s.min r4, r4, 320
s.mul r5, r1, cols
s.add r5, r5, r2
d.load t, x[r5], (r3 | r4):(cols | 1)
v.exp u, t
v.copy t, u
d.store y[r5], t, (r3 | r4):(cols | 1)
exit
)";

TEST(Folding, EdgeTiles) {
  std::mt19937_64 random(5);
  double most = 0;
  for (int i = 0; i < 60; ++i) {
    const int64_t rows = 1 + int64_t(random() % 6000);
    const int64_t cols =
        i % 3 == 0 ? 640 * int64_t(1 + random() % 4) : 1 + int64_t(random() % 2600);
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
    const Sample blocks(kBlocks, (rows + 47) / 48 * ((cols + 319) / 320),
                        {timed_pointer(rows * cols * 2), timed_pointer(rows * cols * 2, 0),
                         Arg::integer(rows), Arg::integer(cols)});
    const auto all = machines();
    most = std::max(most, expect_same(all[size_t(i) % all.size()], blocks.launch));
  }
  EXPECT_GT(most, 0.3);
}

// Programs of a triangle: the first runs its loop once, the last `depth` times, again and again.
constexpr std::string_view kTriangle = R"(
.kernel triangle
.arg x ptr
.arg depth i64
.tile t f32 4096 x3
.tile s f32 4096
s.mod r0, %pid, depth
s.add r0, r0, 1
v.fill s, 0.0, (64, 64)
loop r1, r0
s.mul r2, r1, 4096
d.load t, x[r2], (64 | 64):(64 | 1)
v.add s, s, t
endloop
d.store x[0], s, (64 | 64):(64 | 1)
exit
)";

TEST(Folding, ProgramsThatTakeTurns) {
  for (const int64_t depth : {1, 3, 16, 32, 48}) {
    const Sample triangle(kTriangle, 4096, {timed_pointer(1 << 24), Arg::integer(depth)});
    expect_same(load_machine("n1"), triangle.launch);
  }
  // With a depth that the cores divide one core would fall ever further behind.
  const Sample triangle(kTriangle, 8192, {timed_pointer(1 << 24), Arg::integer(5)});
  Machine machine = load_machine("n1");
  machine.core.count = 4;
  EXPECT_GT(expect_same(machine, triangle.launch), 0.3);
}

// As kGemm with 64 x 64 tiles, but the programs of a row of two share what they load of a.
TEST(Folding, Clusters) {
  std::string text(kGemm);
  text.replace(text.find(".arg"), 0, ".cluster 1 2\n");
  text.replace(text.find("d.load ta"), 6, "d.load.across");
  const Sample gemm = gemm_sample(2048, 2048, 128);
  const Sample shared(text, gemm.launch.grid, gemm.launch.args);
  double most = 0;
  for (Machine machine : machines()) {
    if (machine.core.count < 2) continue;
    most = std::max(most, expect_same(machine, shared.launch));
    ++machine.core.count;  // which is idle
    most = std::max(most, expect_same(machine, shared.launch));
  }
  EXPECT_GT(most, 0.3);
}

TEST(Folding, MisalignedRows) {
  // 1001 columns: where a row starts in its burst takes 32 programs to come back.
  const Sample softmax = softmax_sample(16384, 1001);
  EXPECT_GE(expect_same(load_machine("n1"), softmax.launch), 0.0);
}

TEST(Steering, TellsProgramsApartByWhatSteersThem) {
  const Machine machine = load_machine("n1");
  const Sample stream = stream_sample(4096 * 9 + 5);
  const Prepared prepared(machine, stream.launch);
  Steering steering(prepared);
  EXPECT_TRUE(steering.possible());
  EXPECT_EQ(steering.class_of(0), steering.class_of(8));
  EXPECT_NE(steering.class_of(0), steering.class_of(9));  // 5 elements

  const auto possible = [&](const std::string& body) {
    const Program program = assemble(".kernel k\n.arg x ptr\n.tile a f32 64\n" + body + "exit\n");
    const Launch launch{&program, 100, {timed_pointer(1 << 20)}};
    const Prepared prepared(machine, launch);
    return Steering(prepared).possible();
  };
  EXPECT_TRUE(possible("v.fill a, 0.0, (1, 8)\n"));
  EXPECT_TRUE(possible("v.fill a, 0.0, (1, 8)\nd.store x[%pid], a, (8):(1)\n"));
  EXPECT_TRUE(possible("s.min r0, %pid, 8\nv.fill a, 0.0, (1, r0)\n"));
  EXPECT_FALSE(possible("v.fill a, 0.0, (1, %pid)\n"));
  EXPECT_FALSE(possible("v.fill a, 0.0, (1, 8)\ns.min r0, %pid, 8\nv.fill a, 0.0, (1, r0)\n"));
  EXPECT_FALSE(possible("if %pid\nv.fill a, 0.0, (1, 8)\nendif\n"));
  EXPECT_FALSE(possible("s.load.i64 r0, x[0]\n"));
}

TEST(Steering, AddressesCountWithinARow) {
  const Machine machine = load_machine("n1");
  const Program program = assemble(
      ".kernel k\n.arg x ptr\n.arg step i64\n.tile a f32 64\ns.mul r0, %pid, step\n"
      "loop r1, 3\ns.add r2, r0, r1\nd.load a, x[r2], (64):(1)\nendloop\nexit\n");
  const auto same = [&](int64_t step, int64_t pid) {
    const Launch launch{&program, 5000, {timed_pointer(1 << 30), Arg::integer(step)}};
    const Prepared prepared(machine, launch);
    Steering steering(prepared);
    return steering.class_of(0) == steering.class_of(pid);
  };
  EXPECT_TRUE(same(512, 1));
  EXPECT_FALSE(same(256, 1));
  EXPECT_TRUE(same(256, 2));
  EXPECT_FALSE(same(1024 + 16, 1));
  EXPECT_TRUE(same(1024 + 16, 32));
}

}  // namespace
}  // namespace npu::sim

// The executor and the timer count the same.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "sim/exec/executor.h"
#include "sim/timing/timer.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

// Gives every pointer argument memory of its own, zeroed.
class Memory {
 public:
  explicit Memory(Launch& launch) {
    blocks_.reserve(launch.args.size());
    for (size_t i = 0; i < launch.args.size(); ++i) {
      if (launch.program->args[i].kind != ArgKind::pointer) continue;
      Buffer& buffer = launch.args[i].buffer;
      blocks_.emplace_back(size_t(buffer.upper - buffer.lower) + 64);
      const auto base = reinterpret_cast<uintptr_t>(blocks_.back().data());
      buffer.data = blocks_.back().data() + (64 - base % 64) % 64 - buffer.lower;
    }
  }

 private:
  std::vector<std::vector<std::byte>> blocks_;
};

void expect_same_counts(Sample& sample) {
  const Memory memory(sample.launch);
  const Machine machine = load_machine("n1");
  const Counters timed = Timer(machine).simulate(sample.launch).counters;
  for (const int threads : {1, 2}) {
    EXPECT_EQ(Executor(machine, threads).run(sample.launch), timed) << threads << " threads";
  }
  EXPECT_GT(timed.dma_instructions, 0u);
}

TEST(Counters, Gemm) {
  Sample sample = gemm_sample(128, 192, 256);
  expect_same_counts(sample);
}

TEST(Counters, StreamWithATail) {
  Sample sample = stream_sample(100'001);
  expect_same_counts(sample);
}

TEST(Counters, Softmax) {
  Sample sample = softmax_sample(64, 500);
  expect_same_counts(sample);
}

TEST(Counters, EveryKindOfTransferAndScalarCode) {
  Sample sample(
      ".kernel mixed\n.arg x ptr\n.arg y ptr\n.arg idx ptr\n"
      ".tile i i32 64\n.tile t f32 512 x2\n.tile h bf16 512\n.tile w bf16 512\n.tile acc f32 512\n"
      "s.load.i32 r0, idx[%pid]\n"
      "s.add r0, r0, 3\n"
      "loop r1, r0\n"
      "v.iota i, 0, 1, 0, (1, 8)\n"
      "d.gather t, x[0], i, 16, (16):(1)\n"
      "s.eq r2, r1, 1\n"
      "if r2\n"
      "d.scatter.add y[0], i, 16, t, (16):(1)\n"
      "else\n"
      "d.fill.f32 y[0], 1.0, (4, 8):(16, 1)\n"
      "endif\n"
      "v.copy h, t\n"
      "v.fill w, 1.0, (16, 12)\n"
      "m.mma.zero acc, h, w, 50\n"
      "d.store.add y[256], acc, (8 | 12):(12 | 1)\n"
      "d.load t, x[0], (0):(1)\n"
      "endloop\n"
      "exit\n",
      5, {timed_pointer(2048), timed_pointer(2048), timed_pointer(64)});
  expect_same_counts(sample);
}

}  // namespace
}  // namespace npu::sim

// Programs and machines that the timing tests share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/arch/machine.h"
#include "sim/exec/launch.h"
#include "sim/isa/text.h"

namespace npu::sim {

// One core, 1 GHz, so that nanoseconds are cycles and GB/s are bytes a cycle.
inline Machine tiny_machine() {
  Machine machine = load_machine("n1-edge");
  machine.clock_ghz = 1;
  machine.core.count = 1;
  machine.core.queue_depth = 16;
  machine.matrix.rows = machine.matrix.cols = 4;
  machine.matrix.preload = true;
  machine.vector.lanes = 16;
  machine.vector.special_lanes = 4;
  machine.vector.latency_cycles = 5;
  machine.dma.load_queues = machine.dma.store_queues = 1;
  machine.dma.bytes_per_cycle = 64;
  machine.dma.setup_cycles = 10;
  machine.dma.burst_bytes = 64;
  machine.noc.bytes_per_cycle = 64;
  machine.hbm.bandwidth_gbps = 64;
  machine.noc.total_bytes_per_cycle = 64;
  machine.hbm.latency_ns = 100;
  machine.hbm.activate_ns = machine.hbm.row_miss_ns = machine.hbm.turnaround_ns = 0;
  machine.hbm.refresh_fraction = 0;
  return machine;
}

inline Arg timed_pointer(int64_t bytes, int64_t offset = 0) {
  return Arg::pointer({nullptr, -offset, bytes, 0x10000});
}

// c[m, n] = a[m, k] @ b[k, n] in tiles of 64 x 64 x 64, sizes multiples of that.
inline constexpr std::string_view kGemm = R"(
.kernel gemm
.arg a ptr
.arg b ptr
.arg c ptr
.arg n i64
.arg k i64
.tile ta bf16 4096 x4
.tile tb bf16 4096 x4
.tile acc f32 4096 x2
.tile out bf16 4096 x2
s.div r0, n, 64
s.div r1, %pid, r0
s.mod r2, %pid, r0
s.mul r2, r2, 64
s.mul r3, r1, 64
s.mul r4, r3, k
s.mov r5, r2
s.mul r6, n, 64
s.div r7, k, 64
v.fill acc, 0.0, (64, 64)
loop r8, r7
d.load ta, a[r4], (64 | 64):(k | 1)
d.load tb, b[r5], (64 | 64):(n | 1)
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

// y = x + 1 in pieces of 4096 elements.
inline constexpr std::string_view kStream = R"(
.kernel stream
.arg x ptr
.arg y ptr
.arg n i64
.tile t f32 4096 x4
.tile u f32 4096 x4
s.mul r0, %pid, 4096
s.sub r1, n, r0
s.min r1, r1, 4096
d.load t, x[r0], (r1):(1)
v.add u, t, 1.0
d.store y[r0], u, (r1):(1)
exit
)";

// A row-wise softmax of [4 * grid, cols].
inline constexpr std::string_view kSoftmax = R"(
.kernel softmax
.arg x ptr
.arg y ptr
.arg cols i64
.tile t f32 8192 x2
.tile m f32 16 x2
.tile e f32 8192 x2
s.mul r0, cols, 4
s.mul r0, r0, %pid
d.load t, x[r0], (4 | cols):(cols | 1)
v.reduce.max m, t
v.sub e, t, m
v.exp e, e
v.reduce.sum m, e
v.recip m, m
v.mul e, e, m
d.store y[r0], e, (4 | cols):(cols | 1)
exit
)";

struct Sample {
  Program program;
  Launch launch;
  Sample(std::string_view text, int64_t grid, std::vector<Arg> args) : program(assemble(text)) {
    launch = {&program, grid, std::move(args)};
  }
  Sample(const Sample&) = delete;
};

inline Sample gemm_sample(int64_t m, int64_t n, int64_t k) {
  return {kGemm,
          m / 64 * (n / 64),
          {timed_pointer(m * k * 2), timed_pointer(k * n * 2), timed_pointer(m * n * 2),
           Arg::integer(n), Arg::integer(k)}};
}
inline Sample stream_sample(int64_t n) {
  return {
      kStream, (n + 4095) / 4096, {timed_pointer(n * 4), timed_pointer(n * 4), Arg::integer(n)}};
}
inline Sample softmax_sample(int64_t rows, int64_t cols) {
  return {kSoftmax,
          rows / 4,
          {timed_pointer(rows * cols * 4), timed_pointer(rows * cols * 4), Arg::integer(cols)}};
}

}  // namespace npu::sim

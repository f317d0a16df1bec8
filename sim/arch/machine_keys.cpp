#include "sim/arch/machine_keys.h"

namespace npu::sim {
namespace {

#define KEY(field, least, most, meaning)                                       \
  MachineKey {                                                                 \
    #field, +[](Machine& m) -> auto& { return m.field; }, least, most, meaning \
  }

constexpr double kTiny = 1e-6;  // stands for "above zero"

const MachineKey kKeys[] = {
    KEY(clock_ghz, 0.001, 100, "core clock, GHz"),

    KEY(core.count, 1, 1024, "cores"),
    KEY(core.scratchpad_kib, 32, 1 << 20, "scratchpad of a core, KiB"),
    KEY(core.queue_depth, 1, 1024, "instructions waiting in each engine's queue"),
    KEY(core.start_cycles, 0, 1e9, "from the start of a launch to its first instruction, cycles"),

    KEY(matrix.rows, 1, 4096, "rows of the weight-stationary array (the products' depth)"),
    KEY(matrix.cols, 1, 4096, "columns of the array"),
    KEY(matrix.preload, 0, 1, "next weights load while the current ones stream"),
    KEY(matrix.load_rows, 1, 4096, "rows of weights that load in a cycle, where preloaded"),
    KEY(matrix.swap_cycles, 0, 10000,
        "cycles between the streams of two weight tiles, where preloaded"),
    KEY(matrix.rate_16bit, kTiny, 64, "multiply-accumulates a cell and cycle: f16, bf16, i16"),
    KEY(matrix.rate_8bit, kTiny, 64, "the same: 8-bit types"),
    KEY(matrix.rate_fp32, kTiny, 64, "the same: f32"),
    KEY(matrix.rate_64bit, kTiny, 64, "the same: f64, i32, i64"),

    KEY(vector.lanes, 1, 65536, "fp32 elements a cycle"),
    KEY(vector.special_lanes, 1, 65536, "fp32 elements a cycle of exp, div and the like"),
    KEY(vector.rate_fp64, kTiny, 1, "rate of fp64 relative to fp32"),
    KEY(vector.latency_cycles, 0, 10000, "from issue to the first result, cycles"),

    KEY(dma.load_queues, 1, 64, "load queues of a core"),
    KEY(dma.store_queues, 1, 64, "store queues of a core"),
    KEY(dma.bytes_per_cycle, 1, 65536, "bytes a cycle of one queue"),
    KEY(dma.setup_cycles, 0, 100000, "cycles of a descriptor"),
    KEY(dma.burst_bytes, 1, 65536, "smallest transfer: shorter contiguous runs are rounded up"),

    KEY(noc.bytes_per_cycle, 1, 65536, "on-chip network: a core's port, bytes a cycle each way"),
    KEY(noc.total_bytes_per_cycle, 1, 1 << 24, "the same: between all ports and the memory"),

    KEY(hbm.capacity_gib, 0.001, 65536, "capacity, GiB"),
    KEY(hbm.channels, 1, 1024, "channels"),
    KEY(hbm.bandwidth_gbps, 0.001, 1e6, "bandwidth of the whole device, decimal GB/s"),
    KEY(hbm.latency_ns, 0, 1e6, "latency of an access, ns"),
    KEY(hbm.row_bytes, 64, 1 << 20, "consecutive bytes of one row: allocations start on one"),
    KEY(hbm.interleave_bytes, 1, 1 << 20, "consecutive bytes of one channel"),
    KEY(hbm.activate_ns, 0, 1000, "least time between two rows that a channel opens, ns"),
    KEY(hbm.row_miss_ns, 0, 1000, "what a channel loses in opening a row, ns"),
    KEY(hbm.turnaround_ns, 0, 10000, "a channel's turn from reads to writes and back, ns"),
    KEY(hbm.write_batch_bytes, 1, 1 << 30, "bytes that a channel writes between two turns"),
    KEY(hbm.refresh_fraction, 0, 0.9, "share of the time that refresh takes"),

    KEY(compiler.block_traffic, 0, 1000,
        "matrix products take the largest tiles that move this much of the least; 0: the fastest"),

    KEY(host.launch_ns, 0, 1e9, "cost of a launch on the host's clock, ns"),
    KEY(host.link_gbps, 0.001, 1e6, "host link, decimal GB/s"),
    KEY(host.link_latency_ns, 0, 1e9, "latency of the host link, ns"),
};

#undef KEY

}  // namespace

std::span<const MachineKey> machine_keys() { return kKeys; }

}  // namespace npu::sim

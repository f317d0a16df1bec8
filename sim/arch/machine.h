// The machine as data: one TOML file describes a chip.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/isa/dtype.h"

namespace npu::sim {

struct Machine {
  std::string name;
  double clock_ghz = 0;

  struct Core {
    int count = 0;
    int scratchpad_kib = 0;
    int queue_depth = 0;   // instructions waiting in each engine's queue
    int start_cycles = 0;  // from the start of a launch to its first instruction
    bool operator==(const Core&) const = default;
  } core;

  // Weight-stationary array. `rate_*`: multiply-accumulates a cell does in one cycle.
  struct Matrix {
    int rows = 0;
    int cols = 0;
    bool preload = true;  // next weights load while the current ones stream
    int load_rows = 1;    // rows of weights that load in a cycle, where they are preloaded
    int swap_cycles = 0;  // from one weight tile's stream to the next one's, where preloaded
    double rate_16bit = 1;
    double rate_8bit = 2;
    double rate_fp32 = 0.125;
    double rate_64bit = 0.015625;  // fp64 and the wide integers
    bool operator==(const Matrix&) const = default;
  } matrix;

  // Lanes count fp32 elements a cycle; 16-bit types run at twice, 8-bit at four times that, 64-bit
  // integers at half, fp64 at `rate_fp64`.
  struct Vector {
    int lanes = 0;
    int special_lanes = 0;
    double rate_fp64 = 0.125;
    int latency_cycles = 0;  // from issue to the first result
    bool operator==(const Vector&) const = default;
  } vector;

  struct Dma {
    int load_queues = 0;  // a core
    int store_queues = 0;
    int bytes_per_cycle = 0;  // a queue
    int setup_cycles = 0;     // a descriptor
    int burst_bytes = 0;      // smallest transfer: shorter contiguous runs are rounded up
    bool operator==(const Dma&) const = default;
  } dma;

  struct Noc {
    int bytes_per_cycle = 0;        // a core's port, each way
    int total_bytes_per_cycle = 0;  // between all ports and the memory, each way
    bool operator==(const Noc&) const = default;
  } noc;

  struct Hbm {
    double capacity_gib = 0;
    int channels = 0;
    double bandwidth_gbps = 0;  // decimal GB/s of the whole device
    double latency_ns = 0;
    int row_bytes = 0;         // consecutive bytes of one row; allocations start on one
    int interleave_bytes = 0;  // consecutive bytes of one channel
    // A channel opens a row at most every `activate_ns` (a bank's cycle over the banks), and loses
    // `row_miss_ns` for it beyond what other banks hide.
    double activate_ns = 0;
    double row_miss_ns = 0;
    // A channel that reads and writes turns round once for every batch of writes.
    double turnaround_ns = 0;  // to writes and back
    int write_batch_bytes = 0;
    double refresh_fraction = 0;  // of the time, when nothing moves
    bool operator==(const Hbm&) const = default;
  } hbm;

  // Habits of the chip's compiler that show in times measured on it.
  struct Compiler {
    // 0: matrix products take the tiles that are fastest. Else they take the largest that fit the
    // scratchpad and whose traffic takes at most this many times as long as the arithmetic, or as
    // moving every operand once, whichever is longer.
    double block_traffic = 0;
    bool operator==(const Compiler&) const = default;
  } compiler;

  struct Host {
    double launch_ns = 0;
    double link_gbps = 0;  // decimal GB/s
    double link_latency_ns = 0;
    bool operator==(const Host&) const = default;
  } host;

  // Cores that clusters of so many fill; those left over take no part in their launches.
  int cores_in_clusters(int size) const { return core.count / size * size; }
  int64_t capacity_bytes() const;
  int64_t scratchpad_bytes() const;
  double hbm_bytes_per_cycle() const;  // at the peak
  // Of one core, by all its queues of a kind and its port.
  int load_bytes_per_cycle() const;
  int store_bytes_per_cycle() const;
  // What a long sequential read reaches of the peak: refresh and the opening of rows take the rest.
  //   (1 - refresh_fraction) / (max(1, activate_ns / t) + row_miss_ns / t)
  // with t the ns in which a channel moves a row.
  double hbm_stream_efficiency() const { return hbm_efficiency(hbm.row_bytes); }
  // The same of runs of so many bytes, up to a row, each in a row of its own.
  double hbm_efficiency(int64_t run_bytes) const;
  double cycles_to_ns(double cycles) const { return cycles / clock_ghz; }
  // Multiply-accumulates a cell and cycle for operands of this type.
  double matrix_rate(DType type) const;

  bool operator==(const Machine&) const = default;
};

// `text` in TOML; `origin` names it in messages. Throws MachineError (kMachineFile) that names
// file, key and allowed range for unknown keys, missing keys and impossible values.
Machine parse_machine(std::string_view text, std::string_view origin);

// A preset's name ("n1") or a path to a file.
Machine load_machine(std::string_view preset_or_path);

std::vector<std::string> preset_names();

// The file's text with every key written out, for `npu-torch info` and copies to edit.
std::string to_toml(const Machine& machine);

// Each "hbm.bandwidth_gbps=1200" or "hbm.bandwidth_gbps=x0.5". Checked like a file's values: what
// keys demand of each other, once all are set.
void apply_overrides(Machine& machine, std::span<const std::string_view> assignments);
void apply_override(Machine& machine, std::string_view assignment);

}  // namespace npu::sim

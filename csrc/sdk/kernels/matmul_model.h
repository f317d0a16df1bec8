// The cost model of matrix products: about how many cycles a tiling takes, and what none can beat.
#pragma once

#include <algorithm>
#include <cstdint>

#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "sim/arch/machine.h"
#include "sim/timing/durations.h"
#include "sim/timing/hbm.h"

namespace npu::kernels {

// Steps of k are whole multiples of it, so that products add up in the same order whatever the
// tiling.
inline constexpr int64_t kDepthUnit = 16;

// It knows how much engines, ports and the memory have to do and what cannot overlap: the first
// loads, the last stores and, where accumulators are single, the epilogues.
class MatmulModel {
 public:
  MatmulModel(const sim::Machine& machine, const MatmulProblem& problem)
      : machine_(machine),
        p_(problem),
        hbm_(machine),
        bytes_(matmul_footprint(problem.form)),
        partial_bytes_(matmul_footprint(problem.form.partial())),
        element_(sim::size_of(problem.form.type)),
        stream_(machine.hbm_bytes_per_cycle() * machine.hbm_stream_efficiency()),
        network_(static_cast<double>(machine.noc.total_bytes_per_cycle)),
        load_(machine.load_bytes_per_cycle()),
        store_(machine.store_bytes_per_cycle()),
        latency_(machine.hbm.latency_ns * machine.clock_ghz) {}

  bool fits(const MatmulTiling& t) const { return spare(t) >= 0; }

  // Gives the operands as many buffers as fit. False if two do not.
  bool set_buffers(MatmulTiling& t) const {
    t.load_buffers = 2;
    const int64_t left = spare(t);
    if (left < 0) return false;
    const int64_t more = left / round_bytes(t);
    t.load_buffers = static_cast<int>(std::min<int64_t>(kMostBuffers, 2 + more));
    return true;
  }

  double cycles(const MatmulTiling& t) const;
  // Of the launch that adds up partial sums.
  double combine_cycles(int splits) const;
  // No products in this output tile take less: what engines and ports do for it, and with the
  // cluster what the memory does.
  double least_cycles(const MatmulTiling& t) const;
  double least_memory_cycles(const MatmulTiling& t) const { return loaded_bytes(t) / stream_; }
  // The same of what all cores share, the network included.
  double least_shared_cycles(const MatmulTiling& t) const {
    return loaded_bytes(t) / std::min(stream_, network_);
  }
  // For how long the launches keep the memory busy at least: that of products, and with splits that
  // which adds up partial sums.
  double least_product_memory(const MatmulTiling& t) const;
  double least_sums_memory(int splits) const;
  double instructions(const MatmulTiling& t) const {
    return static_cast<double>(matmul_grid(p_, t) * ceil_div(depth(t), t.k)) * (1 + 2 * t.chunks());
  }

 private:
  static constexpr int kMostBuffers = 8;
  static constexpr int64_t kAlignment = 64;        // of every buffer
  static constexpr double kInstructionCycles = 4;  // issue of a tile instruction and its scalars

  // Of one transfer.
  struct Cost {
    double bytes = 0;   // that pass the port
    double memory = 0;  // cycles of the whole memory
    double shared = 0;  // of memory or network, whichever takes longer
    double queue = 0;   // cycles of the queue on an idle machine
  };

  int64_t round_bytes(const MatmulTiling& t) const {
    return (t.m * t.k + t.k * t.chunk * t.chunks()) * element_ + kAlignment * (1 + t.chunks());
  }
  int64_t spare(const MatmulTiling& t) const;
  double loaded_bytes(const MatmulTiling& t) const;
  int64_t depth(const MatmulTiling& t) const {
    return t.splits == 1 ? p_.k : std::min(p_.k, matmul_split_length(machine_, p_.k, t.splits));
  }
  double busy(int64_t m, int64_t k, int64_t n) const {
    return static_cast<double>(sim::matrix_duration(machine_, p_.form.type, m, k, n).occupancy);
  }
  Cost move(int64_t lines, int64_t run, int64_t stride, int64_t places, int size,
            bool writes) const;

  const sim::Machine& machine_;
  const MatmulProblem& p_;
  const sim::Hbm hbm_;
  const MatmulFootprint bytes_;
  const MatmulFootprint partial_bytes_;
  const int element_;
  const double stream_;   // bytes a cycle of the memory at best,
  const double network_;  // of the network, each way,
  const double load_;     // and of a core's ports
  const double store_;
  const double latency_;
};

}  // namespace npu::kernels

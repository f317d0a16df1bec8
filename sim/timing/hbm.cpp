#include "sim/timing/hbm.h"

#include <algorithm>
#include <cmath>

namespace npu::sim {
namespace {

constexpr int kFractionBits = 32;

uint64_t with_fraction(double ticks) {
  return static_cast<uint64_t>(ticks * static_cast<double>(uint64_t{1} << kFractionBits) + 0.5);
}

uint64_t round_ticks(unsigned __int128 ticks) {
  return static_cast<uint64_t>((ticks + (uint64_t{1} << (kFractionBits - 1))) >> kFractionBits);
}

// The largest power of two that divides `value`.
int64_t power_of_two_in(int64_t value) { return value & -value; }

}  // namespace

int64_t touched_stretches(const Footprint& footprint, int64_t bytes, bool joined) {
  int64_t extent = footprint.run;
  int64_t pieces = footprint.scattered;
  int64_t phase = bytes;  // starts differ by multiples of this within a stretch
  if (footprint.scatter_stride != 0)
    phase = std::min(phase, power_of_two_in(footprint.scatter_stride));
  uint32_t left = (1u << footprint.dims) - 1;
  for (bool grew = joined; grew;) {
    grew = false;
    for (int i = footprint.dims - 1; i >= 0; --i) {
      // No stretch fits into the gap between two neighbours.
      if ((left >> i & 1) != 0 && footprint.stride[i] - extent < bytes) {
        extent += footprint.stride[i] * (footprint.size[i] - 1);
        left &= ~(1u << i);
        grew = true;
      }
    }
  }
  for (int i = 0; i < footprint.dims; ++i) {
    if ((left >> i & 1) == 0) continue;
    pieces *= footprint.size[i];
    if (footprint.stride[i] != 0) phase = std::min(phase, power_of_two_in(footprint.stride[i]));
  }
  // Over all bytes / phase places in a stretch that starts can have, `touched` stretches in sum.
  const int64_t touched = ((footprint.offset & (phase - 1)) + extent + bytes - 1) / phase;
  const int64_t places = bytes / phase;
  return (pieces * touched + places - 1) / places;
}

Hbm::Hbm(const Machine& machine)
    : burst_(machine.dma.burst_bytes),
      interleave_(machine.hbm.interleave_bytes),
      row_(machine.hbm.row_bytes),
      channels_(machine.hbm.channels),
      bandwidth_(machine.hbm_bytes_per_cycle() * (1 - machine.hbm.refresh_fraction)) {
  // A row or a turn keeps one of the channels busy; ticks count the time of all of them.
  const double channel_ns = static_cast<double>(to_ticks(1)) * machine.clock_ghz /
                            (machine.hbm.channels * (1 - machine.hbm.refresh_fraction));
  row_least_ = with_fraction(machine.hbm.activate_ns * channel_ns);
  row_miss_ = with_fraction(machine.hbm.row_miss_ns * channel_ns);
  turn_ = with_fraction(machine.hbm.turnaround_ns / machine.hbm.write_batch_bytes * channel_ns);
}

HbmAccess Hbm::price(const Footprint& footprint, bool reads, bool writes) const {
  HbmAccess access;
  access.reads = reads;
  access.writes = writes;
  if (footprint.run == 0) return access;
  const int64_t rows = touched_stretches(footprint, row_, true);
  const int64_t pieces = touched_stretches(footprint, interleave_, true);
  access.bytes = touched_stretches(footprint, burst_, false) * burst_;
  if (reads && writes) access.bytes *= 2;

  using Wide = unsigned __int128;
  const Wide data = static_cast<Wide>(access.bytes) * bandwidth_.ticks_per_byte();
  const Wide least = static_cast<Wide>(rows) * row_least_;
  const Wide work = std::max(data, least) + static_cast<Wide>(rows) * row_miss_;
  access.ticks = round_ticks(work);
  access.alone = round_ticks(work * static_cast<Wide>(channels_) /
                             static_cast<Wide>(std::min(pieces, channels_)));
  if (writes) {
    const int64_t written = reads ? access.bytes / 2 : access.bytes;
    access.turn = round_ticks(static_cast<Wide>(written) * turn_);
  }
  return access;
}

}  // namespace npu::sim

// One launch of a program: its grid, its arguments, and what running it counts.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/arch/machine.h"
#include "sim/exec/known_bytes.h"
#include "sim/isa/program.h"

namespace npu::sim {

// A pointer argument: where it points and how far the allocation around it reaches.
struct Buffer {
  std::byte* data = nullptr;  // the machine's mapping of the pointer; null when only time is asked
  int64_t lower = 0;          // first valid byte, relative to the pointer (<= 0)
  int64_t upper = 0;          // one past the last valid byte, relative to the pointer
  uint64_t address = 0;       // as the device sees it, for messages
  // Bytes from the start of the allocation, which is where timing addresses count from.
  int64_t allocation_offset() const { return -lower; }
};

struct Arg {
  int64_t bits = 0;  // integer, or the bits of a double
  Buffer buffer;     // pointer arguments only

  static Arg integer(int64_t value) { return {value, {}}; }
  static Arg real(double value) { return {std::bit_cast<int64_t>(value), {}}; }
  static Arg pointer(const Buffer& buffer) { return {0, buffer}; }
};

struct Launch {
  const Program* program = nullptr;  // finalized
  int64_t grid = 1;
  std::vector<Arg> args;
  // Where data was skipped and only time is asked: the bytes behind the buffers that hold data all
  // the same, so that scalar loads can read them. Null: all do.
  const KnownBytes* known = nullptr;
};

// Whether [offset, offset + bytes) of the buffer, which lies within its bounds, holds data.
inline bool holds_data(const Launch& launch, const Buffer& buffer, int64_t offset, int64_t bytes) {
  if (buffer.data == nullptr) return false;
  return launch.known == nullptr || launch.known->contains(buffer.data + offset, bytes);
}

// What instructions did. The executor and the timer count the same.
struct Counters {
  uint64_t launches = 0;
  uint64_t scalar_instructions = 0;
  uint64_t vector_instructions = 0;
  uint64_t matrix_instructions = 0;
  uint64_t dma_instructions = 0;
  uint64_t dma_read_bytes = 0;   // from HBM
  uint64_t dma_write_bytes = 0;  // to HBM
  uint64_t macs = 0;             // useful multiply-accumulates
  uint64_t padded_macs = 0;      // done beyond them: partly filled arrays, masked positions

  Counters& operator+=(const Counters& other);
  // Adds `times` what has been counted since `before`.
  void repeat_since(const Counters& before, uint64_t times);
  bool operator==(const Counters&) const = default;
};

// Throws MachineError: arguments against declarations, grid, scratchpad size of the machine.
void check_launch(const Machine& machine, const Launch& launch);

// For each pointer argument: may tiles alias what is loaded through it, because nothing that the
// launch writes overlaps its allocation?
std::vector<uint8_t> aliasable_arguments(const Launch& launch);

// For each pointer argument: is what the launch stores through it so much that the host's caches
// hold little of it in the end, so that stores better pass them by? An estimate from capacities,
// grid and allocation; no result depends on it.
std::vector<uint8_t> streamed_arguments(const Launch& launch);

}  // namespace npu::sim

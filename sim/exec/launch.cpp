#include "sim/exec/launch.h"

#include <fmt/format.h>

#include "sim/error.h"

namespace npu::sim {
namespace {

struct Range {
  uint64_t begin;
  uint64_t end;
  bool overlaps(const Range& other) const {
    return begin < end && other.begin < other.end && begin < other.end && other.begin < end;
  }
};

// Tiles alias host memory, so the machine's mapping counts; launches that are only timed have none.
Range allocation(const Buffer& buffer) {
  const uint64_t base =
      buffer.data != nullptr ? reinterpret_cast<uint64_t>(buffer.data) : buffer.address;
  return {base + static_cast<uint64_t>(buffer.lower), base + static_cast<uint64_t>(buffer.upper)};
}

}  // namespace

void check_launch(const Machine& machine, const Launch& launch) {
  if (launch.program == nullptr) {
    throw MachineError(ErrorKind::kBadLaunch, "launch without a program");
  }
  const Program& program = *launch.program;
  if (program.id == 0) {
    throw MachineError(ErrorKind::kBadLaunch,
                       fmt::format("kernel '{}' has not been finalized", program.name));
  }
  if (launch.grid < 1) {
    throw MachineError(ErrorKind::kBadLaunch,
                       fmt::format("kernel '{}': the grid must have at least one program, got {}",
                                   program.name, launch.grid));
  }
  if (const int size = program.cluster.size(); size > 1) {
    if (size > machine.core.count) {
      throw MachineError(
          ErrorKind::kBadLaunch,
          fmt::format("kernel '{}' runs in clusters of {} x {} programs; machine '{}' has {} cores",
                      program.name, program.cluster.rows, program.cluster.cols, machine.name,
                      machine.core.count));
    }
    if (launch.grid % size != 0) {
      throw MachineError(
          ErrorKind::kBadLaunch,
          fmt::format("kernel '{}': the grid must be a multiple of its clusters' {} "
                      "x {} programs, got {}",
                      program.name, program.cluster.rows, program.cluster.cols, launch.grid));
    }
  }
  if (launch.args.size() != program.args.size()) {
    throw MachineError(ErrorKind::kBadLaunch,
                       fmt::format("kernel '{}' takes {} arguments, got {}", program.name,
                                   program.args.size(), launch.args.size()));
  }
  for (size_t i = 0; i < launch.args.size(); ++i) {
    const Buffer& buffer = launch.args[i].buffer;
    if (program.args[i].kind == ArgKind::pointer && buffer.lower > buffer.upper) {
      throw MachineError(
          ErrorKind::kBadLaunch,
          fmt::format("kernel '{}': pointer argument '{}' has the empty range [{}, {})",
                      program.name, program.args[i].name, buffer.lower, buffer.upper));
    }
    if (program.args[i].kind != ArgKind::pointer && (buffer.data != nullptr || buffer.upper != 0)) {
      throw MachineError(ErrorKind::kBadLaunch,
                         fmt::format("kernel '{}': argument '{}' is a number, got a pointer",
                                     program.name, program.args[i].name));
    }
  }
  for (const TileDecl& tile : program.tiles) {
    if (!is_implemented(tile.dtype)) {
      throw MachineError(ErrorKind::kUnimplemented,
                         fmt::format("kernel '{}': no engine works on tile '{}' of type {}",
                                     program.name, tile.name, name(tile.dtype)));
    }
  }
  if (program.scratchpad_bytes > machine.scratchpad_bytes()) {
    throw MachineError(ErrorKind::kScratchpadOverflow,
                       fmt::format("kernel '{}' needs {} bytes of scratchpad, a core of machine "
                                   "'{}' has {}",
                                   program.name, program.scratchpad_bytes, machine.name,
                                   machine.scratchpad_bytes()));
  }
}

std::vector<uint8_t> aliasable_arguments(const Launch& launch) {
  const Program& program = *launch.program;
  std::vector<uint8_t> aliasable(launch.args.size(), 0);
  for (size_t i = 0; i < launch.args.size(); ++i) {
    if (program.args[i].kind != ArgKind::pointer || program.arg_written[i]) continue;
    const Range mine = allocation(launch.args[i].buffer);
    aliasable[i] = 1;
    for (size_t j = 0; j < launch.args.size(); ++j) {
      if (program.arg_written[j] && mine.overlaps(allocation(launch.args[j].buffer))) {
        aliasable[i] = 0;
        break;
      }
    }
  }
  return aliasable;
}

std::vector<uint8_t> streamed_arguments(const Launch& launch) {
  constexpr int64_t kStreamedBytes = int64_t{32} << 20;
  const Program& program = *launch.program;
  std::vector<uint8_t> streamed(launch.args.size(), 0);
  for (size_t i = 0; i < launch.args.size(); ++i) {
    const Range written = allocation(launch.args[i].buffer);
    const int64_t each = program.arg_store_bytes[i];
    if (each == 0 || launch.grid < kStreamedBytes / each ||
        written.end - written.begin < uint64_t{kStreamedBytes}) {
      continue;
    }
    // What the launch reads anyway is in the caches when the store comes.
    streamed[i] = 1;
    for (size_t j = 0; j < launch.args.size(); ++j) {
      if (program.arg_read[j] && written.overlaps(allocation(launch.args[j].buffer))) {
        streamed[i] = 0;
      }
    }
  }
  return streamed;
}

}  // namespace npu::sim

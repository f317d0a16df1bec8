// Computes a launch's numbers: host threads take program ids and execute every instruction.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/exec/launch.h"

namespace npu::sim {

class Executor {
 public:
  // `threads` counts the calling thread. Engines whose bit is set in `disabled_engines` fail.
  explicit Executor(const Machine& machine, int threads, uint8_t disabled_engines = 0);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Blocks until done. Results are bitwise the same for any number of threads. Throws MachineError
  // (of the lowest failing program id); memory that the launch writes is then undefined.
  Counters run(const Launch& launch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace npu::sim

// The thread that does a device's work.
#pragma once

#include <memory>
#include <string_view>

#include "csrc/sdk/runtime/command.h"
#include "sim/exec/executor.h"
#include "sim/timing/timer.h"

namespace npu::sdk {

// Takes the device's commands in their order and runs each to its end: numbers by the executor,
// time by the timer. What fails becomes the device's sticky error; from then on commands are
// dropped, but for those that somebody may wait for.
class Worker {
 public:
  explicit Worker(Device& device);

  // Until the stop command.
  void run();
  // Waits for one command and runs it. False for the stop command.
  bool step();

 private:
  struct Result {
    sim::Counters counters;
    sim::Timing timing;  // zero where timing is off
  };

  void execute(Command& command);
  void launch(Command& command);
  Result compute(Command& command);
  void write(const Command& command);
  Result estimate(Command& command);
  void copy(Command& command);
  void move(const Command& command);
  void wait(const Command& command);

  // The time before which the command cannot start.
  Picoseconds earliest(const Command& command) const;
  void finish(const Command& command, Picoseconds end);
  void report(const Command& command, std::string_view name, Picoseconds start, Picoseconds end,
              const npuCounters& counters, const sim::Timing& timing);

  Device& device_;
  std::unique_ptr<sim::Executor> executor_;  // made by the first launch
  sim::Timer timer_;
  Picoseconds compute_free_ = 0;   // one launch at a time
  Picoseconds link_free_[2] = {};  // to the device, from it
};

}  // namespace npu::sdk

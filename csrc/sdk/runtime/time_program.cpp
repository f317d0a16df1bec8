#include "csrc/sdk/runtime/time_program.h"

#include <utility>

namespace npu::sdk {

sim::Arg unbacked(int64_t bytes) {
  return sim::Arg::pointer({.data = nullptr, .lower = 0, .upper = bytes, .address = 0});
}

sim::Timing time_program(const sim::Machine& machine, const sim::Program& program, int64_t grid,
                         std::vector<sim::Arg> args) {
  const sim::Launch launch{&program, grid, std::move(args)};
  return sim::Timer(machine).simulate(launch);
}

}  // namespace npu::sdk

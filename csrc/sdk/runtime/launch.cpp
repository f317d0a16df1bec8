#include "csrc/sdk/runtime/launch.h"

#include <bit>
#include <utility>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/module.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

const char* name(npuArgKind kind) {
  switch (kind) {
    case NPU_ARG_POINTER:
      return "pointer";
    case NPU_ARG_INTEGER:
      return "integer";
    case NPU_ARG_REAL:
      return "real";
  }
  return "unknown kind";
}

static_assert(static_cast<int>(sim::ArgKind::pointer) == NPU_ARG_POINTER);
static_assert(static_cast<int>(sim::ArgKind::integer) == NPU_ARG_INTEGER);
static_assert(static_cast<int>(sim::ArgKind::real) == NPU_ARG_REAL);

sim::Buffer resolve(Device& device, const sim::Program& program, const sim::ArgDecl& declaration,
                    void* pointer) {
  if (pointer == nullptr) return {};
  const auto fast = device.memory().owns(pointer) ? device.memory().find(pointer) : std::nullopt;
  const DeviceMemory::Region region =
      fast ? *fast
           : device.region_of(
                 pointer,
                 fmt::format("kernel '{}', argument '{}'", program.name, declaration.name).c_str());
  const int64_t inside = static_cast<std::byte*>(pointer) - region.base;
  return {.data = region.machine + inside,
          .lower = -inside,
          .upper = region.size - inside,
          .address = reinterpret_cast<uint64_t>(pointer)};
}

// Fills the calling thread's launch, whose vector changes places with the queue's: no allocation
// once both have grown.
sim::Launch& prepare(Device& device, const sim::Program& program, int64_t grid,
                     std::span<const npuArg> args) {
  thread_local sim::Launch launch;
  if (args.size() != program.args.size()) {
    throw StatusError(NPU_ERROR_INVALID_VALUE,
                      fmt::format("kernel '{}' takes {} arguments, got {}", program.name,
                                  program.args.size(), args.size()));
  }
  launch.program = &program;
  launch.grid = grid;
  launch.args.clear();
  for (size_t i = 0; i < args.size(); ++i) {
    const sim::ArgDecl& declaration = program.args[i];
    const npuArg& arg = args[i];
    const auto wanted = static_cast<npuArgKind>(declaration.kind);
    if (arg.kind != wanted) {
      throw StatusError(NPU_ERROR_INVALID_VALUE,
                        fmt::format("kernel '{}', argument '{}': want {}, got {}", program.name,
                                    declaration.name, name(wanted), name(arg.kind)));
    }
    switch (arg.kind) {
      case NPU_ARG_POINTER:
        launch.args.push_back(
            sim::Arg::pointer(resolve(device, program, declaration, arg.value.pointer)));
        break;
      case NPU_ARG_INTEGER:
        launch.args.push_back(sim::Arg::integer(arg.value.integer));
        break;
      case NPU_ARG_REAL:
        launch.args.push_back(sim::Arg::real(arg.value.real));
        break;
    }
  }
  sim::check_launch(device.machine(), launch);
  return launch;
}

}  // namespace

npuStatus enqueue_launch(npuStream_st& stream, const sim::Program& program, int64_t grid,
                         std::span<const npuArg> args) {
  Device& device = *stream.device;
  sim::Launch& launch = prepare(device, program, grid, args);
  return device.enqueue(stream, CommandKind::launch,
                        [&](Command& command) { std::swap(command.launch, launch); });
}

npuStatus enqueue_fill(npuStream_st& stream, const sim::Program& program, int64_t grid,
                       std::span<const npuArg> args, std::byte* dst, std::byte value,
                       int64_t bytes) {
  Device& device = *stream.device;
  sim::Launch& launch = prepare(device, program, grid, args);
  return device.enqueue(stream, CommandKind::fill, [&](Command& command) {
    std::swap(command.launch, launch);
    command.dst = dst;
    command.value = value;
    command.bytes = bytes;
  });
}

}  // namespace npu::sdk

extern "C" npuStatus npuLaunchKernel(npuKernel kernel, int64_t grid, const npuArg* args,
                                     int arg_count, npuStream stream) {
  return npu::sdk::guarded([&] {
    npuStream_st& target = npu::sdk::usable_stream(stream);
    const npuKernel_st& live = npu::sdk::live_kernel(kernel);
    if (arg_count < 0 || (args == nullptr && arg_count > 0)) {
      return npu::sdk::fail(NPU_ERROR_INVALID_VALUE, "npuLaunchKernel: args is NULL");
    }
    return npu::sdk::enqueue_launch(target, live.program, grid,
                                    {args, static_cast<size_t>(arg_count)});
  });
}

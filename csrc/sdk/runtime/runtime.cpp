// The process's devices: made at the first use, stopped at exit, refused after fork.
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/estimator.h"
#include "csrc/sdk/runtime/fault_handler.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

enum class State : uint8_t { unused, failed, ready, forked, exiting };
std::atomic<State> state{State::unused};
std::mutex start_mutex;
Runtime* instance = nullptr;

struct Failure {
  npuStatus status;
  std::string message;
};
Failure* failure = nullptr;

// Workers do not follow into a child; the calling thread alone exists there.
void after_fork_in_child() {
  if (state.load() == State::ready) state.store(State::forked);
}

void at_exit() {
  if (state.load() != State::ready) return;
  state.store(State::exiting);
  for (const auto& device : instance->devices) device->ask_to_stop();
  for (const auto& device : instance->devices) device->join();
}

sim::Machine read_machine(const Environment& environment) {
  try {
    return sim::load_machine(environment.arch);
  } catch (const sim::MachineError& error) {
    throw StatusError(status_of(error.kind()),
                      fmt::format("NPU_ARCH={}: {}", environment.arch, error.what()));
  }
}

void start() {
  auto made = std::make_unique<Runtime>();
  try {
    made->environment = process_environment();
    made->machine = read_machine(made->environment);
    for (size_t i = 0; i < made->environment.devices.size(); ++i) {
      made->devices.push_back(
          std::make_unique<Device>(static_cast<int>(i), made->environment, made->machine));
    }
  } catch (const StatusError& error) {
    failure = new Failure{error.status(), error.what()};
  }
  if (failure != nullptr) {
    state.store(State::failed);
    return;
  }
  instance = made.release();
  for (const auto& device : instance->devices) report_faults(device->index(), device->memory());
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
  std::atexit(at_exit);
  state.store(State::ready);
}

}  // namespace

void require_process() {
  switch (state.load(std::memory_order_acquire)) {
    case State::unused:
    case State::ready:
      return;
    case State::failed:
      throw StatusError(failure->status, failure->message);
    case State::forked:
      throw StatusError(NPU_ERROR_INVALID_DEVICE,
                        "the parent process used NPU devices before it forked: start such a "
                        "process by spawn (fork and exec)");
    case State::exiting:
      throw StatusError(NPU_ERROR_INVALID_DEVICE, "the process is exiting");
  }
}

Runtime& runtime() {
  if (state.load(std::memory_order_acquire) == State::unused) {
    std::lock_guard lock(start_mutex);
    if (state.load() == State::unused) start();
  }
  require_process();
  return *instance;
}

int device_count() {
  if (state.load(std::memory_order_acquire) != State::unused) {
    return static_cast<int>(runtime().devices.size());
  }
  const Environment& environment = process_environment();
  read_machine(environment);
  return static_cast<int>(environment.devices.size());
}

const Environment& process_environment() {
  static const auto* const environment =
      new Environment(parse_environment([](const char* name) { return std::getenv(name); }));
  return *environment;
}

Device* owner_of(const void* pointer) {
  require_process();
  if (state.load(std::memory_order_acquire) == State::ready) {
    for (const auto& device : instance->devices) {
      if (device->memory().owns(pointer)) return device.get();
    }
  }
  return estimator_owning(pointer);
}

void drain_devices() {
  if (state.load(std::memory_order_acquire) != State::ready) return;
  for (const auto& device : instance->devices) device->drain();
}

Device& device_at(int index) {
  if (Device* estimator = find_estimator(index)) return *estimator;
  Runtime& process = runtime();
  const int count = static_cast<int>(process.devices.size());
  if (index < 0 || index >= count) {
    throw StatusError(NPU_ERROR_INVALID_DEVICE,
                      fmt::format("no device {}: the process has {}", index, count));
  }
  return *process.devices[index];
}

Device& usable_device(int index) {
  Device& device = device_at(index);
  device.require_usable();
  return device;
}

}  // namespace npu::sdk

// A device: its memory, its queue and worker, its sticky error, clocks and counts.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "csrc/sdk/runtime/clock.h"
#include "csrc/sdk/runtime/command_queue.h"
#include "csrc/sdk/runtime/environment.h"
#include "csrc/sdk/runtime/memory.h"
#include "csrc/sdk/runtime/stream.h"
#include "csrc/sdk/runtime/workspace.h"
#include "npu/npu.h"
#include "sim/arch/machine.h"

namespace npu::sdk {

class Worker;

// Whom an estimator tells of its work.
struct Observer {
  npuActivityCallback callback = nullptr;
  void* user = nullptr;
};

class Device {
 public:
  // `environment` and `machine` outlive the device.
  Device(int index, const Environment& environment, const sim::Machine& machine);
  // An estimator: nothing is executed, its memory holds what memory().known() says, and callers do
  // the work themselves, so that all that was enqueued is done.
  Device(int index, const Environment& environment, const sim::Machine& machine,
         const Observer& observer);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  int index() const { return index_; }
  bool is_estimator() const { return caller_ != nullptr; }
  // Null unless it is an estimator with a callback.
  const Observer* observer() const { return observer_.callback == nullptr ? nullptr : &observer_; }
  const Environment& environment() const { return environment_; }
  const sim::Machine& machine() const { return machine_; }
  DeviceMemory& memory() { return memory_; }
  WorkspaceCache& workspaces() { return workspaces_; }
  npuStream_st& default_stream() { return *default_stream_; }
  uint64_t next_stream_number() { return stream_count_.fetch_add(1); }

  // ---- Work. `fill` writes the command's own fields. The worker starts with the first command.
  // Threads that take turns on a stream go on from each other's clocks.
  template <class Fill>
  npuStatus enqueue(npuStream_st& stream, CommandKind kind, Fill&& fill) {
    const uint64_t ticket = queue_.push([&](Command& command) {
      command.kind = kind;
      command.stream = &stream;
      command.enqueued = enqueue_time(stream, kind);
      fill(command);
      stream.last_ticket.store(command.ticket, std::memory_order_release);
      if (!worker_.joinable() && !is_estimator()) start_worker();
    });
    if (is_estimator()) {
      work_until(ticket);
      return check();
    }
    if (!environment_.launch_blocking) return NPU_SUCCESS;
    queue_.wait(ticket);
    meet(stream.host_clock, stream.clock.load());
    return check();
  }
  CommandQueue& queue() { return queue_; }
  // Waits for everything enqueued so far; the caller's simulated clock stays where it is.
  void drain() { queue_.wait(queue_.last_ticket()); }
  // Drains and moves the caller's simulated clock past the device's and past those of the threads
  // that enqueued.
  void synchronize() {
    drain();
    meet(synchronized_, std::max(latest.load(), latest_host_.load()));
  }
  // The same for one stream.
  void synchronize(npuStream_st& stream) {
    queue_.wait(stream.last_ticket.load(std::memory_order_acquire));
    meet(stream.host_clock, stream.clock.load());
  }
  // Drops what is pending and ends the worker. Two steps, as workers wait for each other.
  void ask_to_stop();
  void join();

  // ---- The sticky error.
  npuStatus status() const { return status_.load(std::memory_order_acquire); }
  npuStatus check() const { return status() == NPU_SUCCESS ? NPU_SUCCESS : fail_sticky(); }
  void require_usable() const;  // throws it
  void set_error(npuStatus status, const std::string& message);
  // Whether the worker drops commands: after an error, in a reset and at the end.
  bool drops_work() const { return dropping_.load() || stopping() || status() != NPU_SUCCESS; }
  bool stopping() const { return stopping_.load(); }  // the process is exiting

  void reset();

  // ---- Pointers. `what` names the argument in messages. All throw StatusError.
  // The live allocation around the pointer.
  DeviceMemory::Region region_of(const void* pointer, const char* what);
  // The machine's mapping of [pointer, pointer + bytes), which must lie in one allocation.
  std::byte* machine_range(const void* pointer, size_t bytes, const char* what);

  // ---- Simulated time, since the process's start. The API's begins at `origin`.
  std::atomic<Picoseconds> latest{0};  // end of the latest finished command
  std::atomic<Picoseconds> origin{0};

  // ---- Counts.
  void count(const npuCounters& counters);
  npuCounters counters() const;
  void reset_counters();

 private:
  // Moves the caller's clock past what the enqueuing costs it. Under the queue's lock, so that the
  // stream's times rise with its commands.
  Picoseconds enqueue_time(npuStream_st& stream, CommandKind kind) {
    Picoseconds& clock = host_clock();
    clock = std::max({clock, stream.host_clock.load(), synchronized_.load()});
    if (kind == CommandKind::launch || kind == CommandKind::fill) clock += launch_cost_;
    raise(stream.host_clock, clock);
    raise(latest_host_, clock);
    return clock;
  }
  // Moves the caller's clock to where the work it waited for and the threads before it were, and
  // leaves it there for the threads after it.
  void meet(std::atomic<Picoseconds>& shared, Picoseconds done) {
    advance_host_clock(std::max(shared.load(), done));
    raise(shared, host_clock());
    raise(latest_host_, host_clock());
  }
  void start_worker();
  void work_until(uint64_t ticket);
  npuStatus fail_sticky() const;

  const int index_;
  const Environment& environment_;
  const sim::Machine& machine_;
  const Picoseconds launch_cost_;
  DeviceMemory memory_;
  WorkspaceCache workspaces_;
  std::atomic<uint64_t> stream_count_{0};
  std::atomic<Picoseconds> synchronized_{0};  // latest clock of a thread that waited for it all
  std::atomic<Picoseconds> latest_host_{0};   // and of any that enqueued or waited
  npuStream_st* default_stream_;
  CommandQueue queue_;
  std::thread worker_;
  std::unique_ptr<Worker> caller_;  // an estimator's: callers take turns at it
  std::mutex caller_mutex_;
  Observer observer_;
  std::atomic<npuStatus> status_{NPU_SUCCESS};
  mutable std::mutex error_mutex_;
  std::string error_;
  std::atomic<bool> dropping_{false};
  std::atomic<bool> stopping_{false};
  std::mutex reset_mutex_;
  mutable std::mutex counters_mutex_;
  npuCounters counters_ = {};
};

// What the process has: made at the first use, never destroyed.
struct Runtime {
  Environment environment;
  sim::Machine machine;
  std::vector<std::unique_ptr<Device>> devices;
};

// Throws StatusError: the environment's or the machine file's error, after fork, at exit.
Runtime& runtime();
// As runtime().devices.size(), without starting the devices: a process may count them and fork.
int device_count();
// Throws where runtime() would for a process that used it before: cheap, for calls on handles.
void require_process();

// The device whose addresses cover the pointer, estimators included; null if none. Starts nothing.
Device* owner_of(const void* pointer);
// Waits for all devices' pending work. Starts nothing.
void drain_devices();
// The NPU_* variables, read once. Throws StatusError; starts nothing.
const Environment& process_environment();

// Throw NPU_ERROR_INVALID_DEVICE; the second also the device's sticky error.
Device& device_at(int index);
Device& usable_device(int index);

}  // namespace npu::sdk

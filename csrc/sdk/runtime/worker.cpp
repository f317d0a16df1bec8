#include "csrc/sdk/runtime/worker.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "csrc/sdk/runtime/activity.h"
#include "csrc/sdk/runtime/counters.h"
#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

static_assert(sim::kResourceCount == NPU_ENGINE_COUNT);
static_assert(static_cast<int>(sim::Resource::matrix) == NPU_ENGINE_MATRIX);
static_assert(static_cast<int>(sim::Resource::scalar) == NPU_ENGINE_SCALAR);

}  // namespace

Worker::Worker(Device& device) : device_(device), timer_(device.machine()) {}

void Worker::run() {
  while (step()) {
  }
}

bool Worker::step() {
  Command& command = device_.queue().front();
  const bool more = command.kind != CommandKind::stop;
  try {
    execute(command);
  } catch (const sim::MachineError& error) {
    device_.set_error(status_of(error.kind()), error.what());
  } catch (const StatusError& error) {
    device_.set_error(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    device_.set_error(NPU_ERROR_OUT_OF_MEMORY, "the host is out of memory");
  } catch (const std::exception& error) {
    device_.set_error(NPU_ERROR_ILLEGAL_PROGRAM, error.what());
  }
  device_.queue().pop();
  return more;
}

void Worker::execute(Command& command) {
  const bool drop = device_.drops_work();
  switch (command.kind) {
    case CommandKind::launch:
    case CommandKind::fill:
      if (!drop) launch(command);
      break;
    case CommandKind::copy:
      if (!drop) copy(command);
      command.staged.reset();
      break;
    case CommandKind::callback:
      if (!device_.stopping()) command.function(command.user);
      break;
    case CommandKind::record:
      command.event->time = earliest(command);
      command.event.reset();
      break;
    case CommandKind::wait:
      wait(command);
      command.event.reset();
      break;
    case CommandKind::stop:
      break;
  }
}

void Worker::launch(Command& command) {
  const Result result = device_.is_estimator() ? estimate(command) : compute(command);
  const Picoseconds start = std::max(earliest(command), compute_free_);
  const Picoseconds end = start + from_ns(result.timing.device_ns(device_.machine()));
  compute_free_ = end;
  finish(command, end);
  const npuCounters counters = counters_of(result.counters);
  device_.count(counters);
  report(command, command.launch.program->name, start, end, counters, result.timing);
}

Worker::Result Worker::compute(Command& command) {
  Result result;
  if (executor_ == nullptr) {
    executor_ =
        std::make_unique<sim::Executor>(device_.machine(), device_.environment().host_threads,
                                        device_.environment().disabled_engines);
  }
  const bool timing = device_.environment().timing;
  try {
    // First, since the launch may change the integers that steer it.
    if (timing) result.timing = timer_.time(command.launch);
  } catch (const sim::MachineError&) {
    // The executor finds the same, and names the lowest program that fails.
    executor_->run(command.launch);
    throw;
  }
  if (command.kind == CommandKind::fill) {
    result.counters = timing ? result.timing.counters : timer_.simulate(command.launch).counters;
    device_.memory().fill(command.dst, command.value, command.bytes);
  } else {
    result.counters = executor_->run(command.launch);
  }
  return result;
}

Worker::Result Worker::estimate(Command& command) {
  sim::KnownBytes& known = *device_.memory().known();
  sim::Launch& launch = command.launch;
  launch.known = &known;
  Result result;
  result.timing = timer_.time(launch);
  result.counters = result.timing.counters;
  if (command.kind == CommandKind::fill) {
    device_.memory().fill(command.dst, command.value, command.bytes);
    known.add(command.dst, command.bytes);
    return result;
  }
  for (size_t i = 0; i < launch.args.size(); ++i) {
    const sim::Buffer& buffer = launch.args[i].buffer;
    if (launch.program->arg_written[i] && buffer.data != nullptr) {
      known.remove(buffer.data + buffer.lower, buffer.upper - buffer.lower);
    }
  }
  return result;
}

// Host memory is read and written; what an estimator skips is not.
void Worker::move(const Command& command) {
  const std::byte* src = command.staged != nullptr ? command.staged.get() : command.src;
  sim::KnownBytes* known = device_.memory().known();
  if (known != nullptr && command.direction == NPU_HOST_TO_DEVICE) {
    known->remove(command.dst, command.bytes);
    if (command.bytes > kKeptBytes) return;
    known->add(command.dst, command.bytes);
  }
  if (known != nullptr && command.direction == NPU_DEVICE_TO_HOST &&
      !known->contains(src, command.bytes)) {
    throw StatusError(NPU_ERROR_ILLEGAL_PROGRAM,
                      fmt::format("npuMemcpyAsync: the {} bytes to be copied to the host were "
                                  "skipped: an estimator computes no data",
                                  command.bytes));
  }
  std::memcpy(command.dst, src, command.bytes);
}

void Worker::copy(Command& command) {
  move(command);
  const auto& host = device_.machine().host;
  const bool to_peer = command.direction == NPU_DEVICE_TO_DEVICE;
  const bool outward = command.direction == NPU_DEVICE_TO_HOST || (to_peer && command.outward);
  // A transfer holds its direction of the link while bytes flow; latency overlaps with the next. A
  // peer is two links away.
  const Picoseconds flow = from_ns(static_cast<double>(command.bytes) / host.link_gbps);
  const Picoseconds latency = from_ns(host.link_latency_ns * (to_peer ? 2 : 1));
  Picoseconds& link = link_free_[outward ? 1 : 0];
  const Picoseconds start = std::max(earliest(command), link);
  link = start + flow;
  finish(command, start + latency + flow);

  npuCounters counters = {};
  (outward ? counters.device_to_host_bytes : counters.host_to_device_bytes) = command.bytes;
  device_.count(counters);
  if (to_peer) {
    npuCounters of_peer = {};
    (outward ? of_peer.host_to_device_bytes : of_peer.device_to_host_bytes) = command.bytes;
    command.peer->count(of_peer);
  }
  const char* name = to_peer   ? "copy between devices"
                     : outward ? "copy device to host"
                               : "copy host to device";
  report(command, name, start, start + latency + flow, counters, {});
}

void Worker::wait(const Command& command) {
  const EventRecord& event = *command.event;
  // On the same device it lies behind us in the queue.
  if (event.device != nullptr && event.device != &device_) event.device->queue().wait(event.ticket);
  command.stream->clock.store(std::max(command.stream->clock.load(), event.time));
}

Picoseconds Worker::earliest(const Command& command) const {
  return std::max({command.enqueued, command.stream->clock.load(), device_.origin.load()});
}

void Worker::finish(const Command& command, Picoseconds end) {
  command.stream->clock.store(end);
  device_.latest.store(std::max(device_.latest.load(), end));
}

void Worker::report(const Command& command, std::string_view name, Picoseconds start,
                    Picoseconds end, const npuCounters& counters, const sim::Timing& timing) {
  const Observer* observer = device_.observer();
  if (device_.is_estimator() ? observer == nullptr : !has_activity_subscriber()) return;
  const Picoseconds origin = device_.origin.load();
  const sim::Machine& machine = device_.machine();
  const bool is_launch = command.kind != CommandKind::copy;
  const std::string name_text(name);
  const std::string bound_by(is_launch ? timing.bound_by() : "link");
  npuActivity activity = {
      .device = device_.index(),
      .stream = command.stream->number,
      .sequence = command.ticket,
      .name = name_text.c_str(),
      .enqueue_ns = to_ns(command.enqueued - origin),
      .start_ns = to_ns(start - origin),
      .duration_ns = to_ns(end - start),
      .cycles = timing.cycles,
      .hbm_utilization = timing.cycles > 0 ? timing.hbm_utilization(machine) : 0,
      .matrix_utilization = timing.cycles > 0 ? timing.matrix_utilization(machine) : 0,
      .bound_by = bound_by.c_str(),
      .counters = counters,
      .grid = is_launch ? command.launch.grid : 0,
      .engines = {}};
  for (int i = 0; i < NPU_ENGINE_COUNT; ++i) {
    activity.engines[i] = {timing.busy[i], timing.stall[i]};
  }
  if (observer != nullptr) {
    observer->callback(&activity, observer->user);
  } else {
    report_activity(activity);
  }
}

}  // namespace npu::sdk

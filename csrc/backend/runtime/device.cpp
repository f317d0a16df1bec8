#include "csrc/backend/runtime/device.h"

#include <c10/util/CallOnce.h>
#include <c10/util/Exception.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>

#include "csrc/backend/fallback/fallback.h"
#include "csrc/backend/runtime/allocator.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

enum class State { kFresh, kReady, kBadFork };

std::atomic<State> state = State::kFresh;
thread_local c10::DeviceIndex thread_device = 0;

void initialize() {
  int count = 0;
  NPU_CHECK(npuGetDeviceCount(&count));
  TORCH_CHECK(count > 0, "no npu device is visible: see NPU_DEVICE_COUNT and NPU_VISIBLE_DEVICES");
  TORCH_CHECK(count <= kMaxDevices, "NPU_DEVICE_COUNT=", count, " is more than PyTorch takes, ",
              kMaxDevices);
  fallback_mode();  // a wrong NPU_FALLBACK shows now, not at the first fallback
  pthread_atfork(nullptr, nullptr, [] { state = State::kBadFork; });
  state = State::kReady;
}

}  // namespace

c10::DeviceIndex device_count() noexcept {
  static const auto count = [] {
    int value = 0;
    if (npuGetDeviceCount(&value) != NPU_SUCCESS) value = 0;
    return static_cast<c10::DeviceIndex>(std::min(value, kMaxDevices));
  }();
  return count;
}

void ensure_initialized() {
  const State now = state.load(std::memory_order_relaxed);
  if (C10_LIKELY(now == State::kReady)) return;
  TORCH_CHECK(now != State::kBadFork,
              "the npu cannot be used in a forked process: start processes with "
              "multiprocessing's 'spawn' method");
  static c10::once_flag once;  // a failed attempt leaves it open: the next one reports again
  c10::call_once(once, initialize);
}

bool is_initialized() noexcept { return state == State::kReady; }
bool in_bad_fork() noexcept { return state == State::kBadFork; }

void check_device_index(c10::DeviceIndex index) {
  ensure_initialized();
  TORCH_CHECK(index >= 0 && index < device_count(), "npu:", static_cast<int>(index),
              " does not exist: the process sees ", static_cast<int>(device_count()), " device(s)");
}

c10::DeviceIndex current_device() noexcept { return thread_device; }

void set_current_device(c10::DeviceIndex index) {
  check_device_index(index);
  thread_device = index;
}

c10::DeviceIndex exchange_current_device(c10::DeviceIndex index) {
  const c10::DeviceIndex previous = thread_device;
  if (index >= 0 && index != previous) set_current_device(index);
  return previous;
}

void synchronize_device(c10::DeviceIndex device) {
  check_device_index(device);
  NPU_CHECK(npuDeviceSynchronize(device));
}

void reset_device(c10::DeviceIndex device) {
  check_device_index(device);
  NPU_CHECK(npuDeviceReset(device));
  forget_device_memory(device);
}

}  // namespace npu::backend

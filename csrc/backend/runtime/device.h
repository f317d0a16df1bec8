// The devices of the process and each thread's current one.
#pragma once

#include <c10/core/Device.h>

namespace npu::backend {

inline constexpr int kMaxDevices = 64;

// Zero where the environment or the machine file is wrong: ensure_initialized() says what is.
c10::DeviceIndex device_count() noexcept;

// First use of the device: checks the environment, throws what is wrong with it. Cheap afterwards.
// Throws in a process forked after first use: the device's worker threads do not survive a fork.
void ensure_initialized();
bool is_initialized() noexcept;
bool in_bad_fork() noexcept;

// Throws unless 0 <= index < device_count().
void check_device_index(c10::DeviceIndex index);

c10::DeviceIndex current_device() noexcept;
void set_current_device(c10::DeviceIndex index);
// Like set_current_device, returning the previous one. A negative index changes nothing.
c10::DeviceIndex exchange_current_device(c10::DeviceIndex index);

// `device` itself, or the current one where it is negative.
inline c10::DeviceIndex device_or_current(c10::DeviceIndex device) {
  return device < 0 ? current_device() : device;
}

// Waits for all work of the device. Throws its sticky error.
void synchronize_device(c10::DeviceIndex device);

// Clears a sticky error and frees the device. Tensors that live there become unusable.
void reset_device(c10::DeviceIndex device);

}  // namespace npu::backend

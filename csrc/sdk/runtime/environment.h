// The NPU_* variables that the runtime obeys, read once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace npu::sdk {

struct Environment {
  std::string arch = "n1";            // NPU_ARCH: preset or path
  std::vector<int> devices = {0, 1};  // NPU_DEVICE_COUNT, of which NPU_VISIBLE_DEVICES
  std::optional<int64_t> hbm_limit;   // NPU_HBM_LIMIT, bytes
  int host_threads = 1;               // NPU_HOST_THREADS, default: the host's
  uint8_t disabled_engines = 0;       // NPU_DISABLE: a bit for each sim::Engine
  bool timing = true;                 // NPU_TIMING
  bool launch_blocking = false;       // NPU_LAUNCH_BLOCKING
  std::string cache_dir;              // NPU_CACHE_DIR, default: the user's; empty: none
};

inline constexpr int kMaxDevices = 64;

// `lookup` gives a variable's value or null. Throws StatusError (NPU_ERROR_ENVIRONMENT) that names
// variable, value and the right ones. NPU_ARCH is checked when the machine file is read.
Environment parse_environment(const std::function<const char*(const char*)>& lookup);

}  // namespace npu::sdk

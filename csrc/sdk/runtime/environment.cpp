#include "csrc/sdk/runtime/environment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <numeric>
#include <string_view>
#include <thread>
#include <utility>

#include "csrc/sdk/runtime/status.h"
#include "sim/isa/opcode.h"

namespace npu::sdk {
namespace {

struct Variable {
  const char* name;
  std::string_view value;

  [[noreturn]] void reject(std::string_view right) const {
    throw StatusError(NPU_ERROR_ENVIRONMENT, fmt::format("{}={}: want {}", name, value, right));
  }
};

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int bounded(const Variable& variable, int lowest, int highest) {
  const auto number = whole_number(variable.value);
  if (!number || *number < lowest || *number > highest) {
    variable.reject(fmt::format("a whole number from {} to {}", lowest, highest));
  }
  return static_cast<int>(*number);
}

int64_t byte_count(const Variable& variable) {
  std::string_view digits = variable.value;
  int shift = 0;
  if (!digits.empty()) {
    constexpr std::string_view kSuffixes = "KMG";
    const char last = digits.back();
    const size_t suffix = kSuffixes.find(last >= 'a' ? static_cast<char>(last - 'a' + 'A') : last);
    if (suffix != std::string_view::npos) {
      shift = 10 * static_cast<int>(suffix + 1);
      digits.remove_suffix(1);
    }
  }
  const auto number = whole_number(digits);
  if (!number || *number < 1 || *number > (int64_t{1} << 52) >> shift) {
    variable.reject(
        "a positive number of bytes, or one with K, M or G for 2^10, 2^20 or 2^30 of them");
  }
  return *number << shift;
}

template <class Visit>
void for_each_item(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    visit(list.substr(0, comma));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
    if (list.empty()) visit(list);
  }
}

std::vector<int> visible_devices(const Variable& variable, int count) {
  std::vector<int> devices;
  for_each_item(variable.value, [&](std::string_view item) {
    const auto number = whole_number(item);
    if (!number || *number < 0 || *number >= count ||
        std::find(devices.begin(), devices.end(), *number) != devices.end()) {
      variable.reject(
          fmt::format("a comma-separated list of different numbers from 0 to {}", count - 1));
    }
    devices.push_back(static_cast<int>(*number));
  });
  return devices;
}

uint8_t engines(const Variable& variable) {
  constexpr std::array kEngines = {sim::Engine::matrix, sim::Engine::vector, sim::Engine::dma};
  uint8_t mask = 0;
  for_each_item(variable.value, [&](std::string_view item) {
    const auto* engine = std::find_if(kEngines.begin(), kEngines.end(),
                                      [&](sim::Engine e) { return sim::name(e) == item; });
    if (engine == kEngines.end()) {
      variable.reject("a comma-separated list of 'matrix', 'vector' and 'dma'");
    }
    mask |= static_cast<uint8_t>(1u << static_cast<int>(*engine));
  });
  return mask;
}

bool either(const Variable& variable, std::string_view yes, std::string_view no) {
  if (variable.value == yes) return true;
  if (variable.value != no) variable.reject(fmt::format("'{}' or '{}'", yes, no));
  return false;
}

// NPU_CACHE_DIR, else a folder in the user's cache directory by the XDG specification, else none.
std::string cache_directory(const std::function<const char*(const char*)>& lookup) {
  if (const char* given = lookup("NPU_CACHE_DIR")) return given;
  const char* cache = lookup("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return fmt::format("{}/npu_torch", cache);
  const char* home = lookup("HOME");
  if (home != nullptr && home[0] == '/') return fmt::format("{}/.cache/npu_torch", home);
  return "";
}

}  // namespace

Environment parse_environment(const std::function<const char*(const char*)>& lookup) {
  const auto variable = [&](const char* name) -> std::optional<Variable> {
    const char* value = lookup(name);
    if (value == nullptr) return std::nullopt;
    return Variable{name, value};
  };
  Environment environment;
  environment.host_threads = std::max(1u, std::thread::hardware_concurrency());
  if (const auto v = variable("NPU_ARCH")) {
    if (v->value.empty()) v->reject("a preset's name or the path of a machine file");
    environment.arch = v->value;
  }
  if (const auto v = variable("NPU_DEVICE_COUNT")) {
    environment.devices.resize(bounded(*v, 1, kMaxDevices));
    std::iota(environment.devices.begin(), environment.devices.end(), 0);
  }
  if (const auto v = variable("NPU_VISIBLE_DEVICES")) {
    environment.devices = visible_devices(*v, static_cast<int>(environment.devices.size()));
  }
  if (const auto v = variable("NPU_HBM_LIMIT")) environment.hbm_limit = byte_count(*v);
  if (const auto v = variable("NPU_HOST_THREADS")) environment.host_threads = bounded(*v, 1, 1024);
  if (const auto v = variable("NPU_DISABLE")) environment.disabled_engines = engines(*v);
  if (const auto v = variable("NPU_TIMING")) environment.timing = either(*v, "on", "off");
  if (const auto v = variable("NPU_LAUNCH_BLOCKING")) {
    environment.launch_blocking = either(*v, "1", "0");
  }
  if (const auto v = variable("NPU_CACHE_DIR")) {
    std::error_code error;
    if (std::filesystem::exists(v->value, error) &&
        !std::filesystem::is_directory(v->value, error)) {
      v->reject("a folder, which need not exist yet");
    }
  }
  environment.cache_dir = cache_directory(lookup);
  return environment;
}

}  // namespace npu::sdk

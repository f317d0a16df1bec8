#include "csrc/sdk/runtime/estimator.h"

#include <deque>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

// Estimators are numbered from here, apart from the process's devices.
constexpr int kFirst = kMaxDevices;

class Registry {
 public:
  int open(sim::Machine machine, const Observer& observer) {
    const std::unique_lock lock(mutex_);
    size_t place = 0;
    while (place < devices_.size() && devices_[place] != nullptr) ++place;
    if (place == devices_.size()) devices_.emplace_back();
    const int index = kFirst + static_cast<int>(place);
    devices_[place] =
        std::make_unique<Device>(index, environment(), intern(std::move(machine)), observer);
    return index;
  }

  bool close(int index) {
    std::unique_ptr<Device> device;  // destroyed without the lock
    const std::unique_lock lock(mutex_);
    if (find(index) == nullptr) return false;
    device = std::move(devices_[static_cast<size_t>(index - kFirst)]);
    return true;
  }

  Device* at(int index) {
    const std::shared_lock lock(mutex_);
    return find(index);
  }

  Device* owning(const void* pointer) {
    const std::shared_lock lock(mutex_);
    for (const auto& device : devices_) {
      if (device != nullptr && device->memory().owns(pointer)) return device.get();
    }
    return nullptr;
  }

 private:
  Device* find(int index) const {
    const auto place = static_cast<size_t>(index - kFirst);
    return index >= kFirst && place < devices_.size() ? devices_[place].get() : nullptr;
  }

  // The library's programs are cached by the machine's address: equal machines share them.
  const sim::Machine& intern(sim::Machine machine) {
    for (const sim::Machine& known : machines_) {
      if (known == machine) return known;
    }
    return machines_.emplace_back(std::move(machine));
  }

  // What concerns the process's own devices does not concern estimators.
  static const Environment& environment() {
    static const auto* const instance = [] {
      auto* made = new Environment;
      made->cache_dir = process_environment().cache_dir;
      return made;
    }();
    return *instance;
  }

  std::shared_mutex mutex_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::deque<sim::Machine> machines_;
};

Registry& registry() {
  static auto* const instance = new Registry;
  return *instance;
}

}  // namespace

Device* find_estimator(int index) { return index < kFirst ? nullptr : registry().at(index); }

Device* estimator_owning(const void* pointer) { return registry().owning(pointer); }

}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuEstimatorOpen(const char* machine, const char* const* overrides, int override_count,
                           npuActivityCallback callback, void* user, int* device) {
  return guarded([&] {
    if (machine == nullptr || device == nullptr || override_count < 0 ||
        (overrides == nullptr && override_count > 0)) {
      return fail(NPU_ERROR_INVALID_VALUE,
                  "npuEstimatorOpen: machine, overrides or device is NULL, or a negative count");
    }
    require_process();
    npu::sim::Machine described = npu::sim::load_machine(machine);
    if (override_count > 0) {
      const std::vector<std::string_view> assignments(overrides, overrides + override_count);
      npu::sim::apply_overrides(described, assignments);
    }
    *device = registry().open(std::move(described), {callback, user});
    return NPU_SUCCESS;
  });
}

npuStatus npuEstimatorClose(int device) {
  return guarded([&] {
    if (registry().close(device)) return NPU_SUCCESS;
    return failf(NPU_ERROR_INVALID_DEVICE, "npuEstimatorClose: {} is no estimator", device);
  });
}

}  // extern "C"

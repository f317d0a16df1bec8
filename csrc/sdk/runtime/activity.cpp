#include "csrc/sdk/runtime/activity.h"

#include <atomic>
#include <mutex>

#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

struct Subscriber {
  std::mutex mutex;  // held during a call, so that nobody is called after unsubscribing
  npuActivityCallback callback = nullptr;
  void* user = nullptr;
};

std::atomic<bool> subscribed{false};

Subscriber& subscriber() {
  static auto* instance = new Subscriber;
  return *instance;
}

}  // namespace

bool has_activity_subscriber() { return subscribed.load(std::memory_order_acquire); }

void report_activity(const npuActivity& activity) {
  Subscriber& to = subscriber();
  std::lock_guard lock(to.mutex);
  if (to.callback != nullptr) to.callback(&activity, to.user);
}

}  // namespace npu::sdk

extern "C" npuStatus npuSetActivityCallback(npuActivityCallback callback, void* user) {
  return npu::sdk::guarded([&] {
    npu::sdk::Subscriber& to = npu::sdk::subscriber();
    std::lock_guard lock(to.mutex);
    to.callback = callback;
    to.user = user;
    npu::sdk::subscribed.store(callback != nullptr, std::memory_order_release);
    return NPU_SUCCESS;
  });
}

// Storage for what the API hands out as opaque handles.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>

#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {

// Base of every handle's object. Objects are used again but their memory is never returned, so that
// a destroyed handle can still be asked whether it lives.
struct Handle {
  std::atomic<bool> alive{false};
};

template <class T>
class HandlePool {
 public:
  // Destroyed objects that are not used again yet, so that their handles are recognised as stale.
  static constexpr size_t kKeptApart = 64;

  // A live object, default-constructed or as the last owner left it: the caller sets every member.
  T* create() {
    std::lock_guard lock(mutex_);
    T* object = nullptr;
    if (free_.size() <= kKeptApart) {
      object = &objects_.emplace_back();
    } else {
      object = free_.front();
      free_.pop_front();
    }
    object->alive.store(true, std::memory_order_release);
    return object;
  }

  void destroy(T* object) {
    std::lock_guard lock(mutex_);
    object->alive.store(false, std::memory_order_release);
    free_.push_back(object);
  }

  template <class Predicate>
  void destroy_if(Predicate&& predicate) {
    std::lock_guard lock(mutex_);
    for (T& object : objects_) {
      if (!object.alive.load(std::memory_order_acquire) || !predicate(object)) continue;
      object.alive.store(false, std::memory_order_release);
      free_.push_back(&object);
    }
  }

 private:
  std::mutex mutex_;
  std::deque<T> objects_;
  std::deque<T*> free_;  // oldest first
};

template <class T>
T& checked(T* handle, const char* what) {
  if (handle == nullptr || !handle->alive.load(std::memory_order_acquire)) {
    throw StatusError(NPU_ERROR_INVALID_HANDLE,
                      fmt::format("{} is not a live {}", static_cast<const void*>(handle), what));
  }
  return *handle;
}

}  // namespace npu::sdk

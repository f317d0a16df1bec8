// Scratch device memory of one operation.
#pragma once

#include "csrc/sdk/runtime/kernel_cache.h"

namespace npu::kernels {

// Freed at the end of the scope; work enqueued by then may still use it.
class Workspace {
 public:
  explicit Workspace(npuStream stream) : stream_(stream) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    if (data_ != nullptr) sdk::workspace_free(stream_, data_);
  }

  npuStatus allocate(int64_t bytes) {
    return sdk::workspace_alloc(stream_, static_cast<size_t>(bytes), &data_);
  }
  void* data() const { return data_; }

 private:
  npuStream stream_;
  void* data_ = nullptr;
};

}  // namespace npu::kernels

// A device that only tells time, and what it told.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "npu/kernels/tensor.h"
#include "npu/npu.h"

namespace npu::kernels::testing {

class Estimator {
 public:
  explicit Estimator(const char* machine, const std::vector<const char*>& overrides = {}) {
    EXPECT_EQ(npuEstimatorOpen(machine, overrides.data(), static_cast<int>(overrides.size()),
                               record, this, &device_),
              NPU_SUCCESS)
        << npuGetLastErrorString();
    EXPECT_EQ(npuDeviceGetDefaultStream(device_, &stream_), NPU_SUCCESS);
  }
  ~Estimator() { EXPECT_EQ(npuEstimatorClose(device_), NPU_SUCCESS); }
  Estimator(const Estimator&) = delete;
  Estimator& operator=(const Estimator&) = delete;

  int device() const { return device_; }
  npuStream stream() const { return stream_; }
  // What has run, in order, without names.
  const std::vector<npuActivity>& activities() const { return activities_; }

  // A contiguous tensor in an allocation of its own; `element` is the type's size in bytes.
  Tensor tensor(npuDataType type, int element, std::initializer_list<int64_t> sizes) {
    Tensor tensor;
    tensor.dtype = type;
    for (const int64_t size : sizes) tensor.sizes[tensor.rank++] = size;
    int64_t stride = 1;
    for (int d = tensor.rank - 1; d >= 0; --d) {
      tensor.strides[d] = stride;
      stride *= tensor.sizes[d];
    }
    EXPECT_EQ(npuMalloc(device_, static_cast<size_t>(stride * element), &tensor.data), NPU_SUCCESS)
        << npuGetLastErrorString();
    return tensor;
  }
  Tensor integers(const std::vector<int32_t>& values) {
    const Tensor made = tensor(NPU_I32, 4, {static_cast<int64_t>(values.size())});
    EXPECT_EQ(
        npuMemcpyAsync(made.data, values.data(), 4 * values.size(), NPU_HOST_TO_DEVICE, stream_),
        NPU_SUCCESS);
    return made;
  }

 private:
  static void record(const npuActivity* activity, void* self) {
    std::vector<npuActivity>& all = static_cast<Estimator*>(self)->activities_;
    all.push_back(*activity);
    all.back().name = all.back().bound_by = nullptr;  // they end with this call
  }

  int device_ = -1;
  npuStream stream_ = nullptr;
  std::vector<npuActivity> activities_;
};

}  // namespace npu::kernels::testing

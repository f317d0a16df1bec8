// Devices, streams and events as PyTorch's generic code sees them.
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "csrc/backend/runtime/allocator.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

constexpr double kNanosecondsPerMillisecond = 1e6;

npuEvent native_event(void* event) { return static_cast<npuEvent>(event); }

struct NpuGuardImpl final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kPrivateUse1; }

  c10::Device exchangeDevice(c10::Device device) const override {
    TORCH_CHECK(device.is_privateuseone(), "expected an npu device, got ", device);
    return {c10::kPrivateUse1, exchange_current_device(device.index())};
  }
  c10::Device getDevice() const override { return {c10::kPrivateUse1, current_device()}; }
  void setDevice(c10::Device device) const override { exchangeDevice(device); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0 && device.index() < device_count()) {
      exchange_current_device(device.index());
    }
  }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count(); }
  void synchronizeDevice(c10::DeviceIndex device) const override { synchronize_device(device); }

  // What tensors may be made of and converted to: arithmetic that kernels lack falls back.
  c10::DeviceCapability getDeviceCapability(c10::Device) const override {
    c10::DeviceCapability capability;
    capability.capability_data.capability_bits = 0;
#define NPU_CAPABILITY(_, name)                                          \
  if (has_kernels(c10::ScalarType::name)) {                              \
    capability.capability_data.supported_scalar_types.has_##name = true; \
  }
    AT_FORALL_SCALAR_TYPES_WITH_COMPLEX_AND_QINTS(NPU_CAPABILITY)
#undef NPU_CAPABILITY
    return capability;
  }

  c10::Stream getStream(c10::Device device) const override {
    return current_torch_stream(device.index());
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return default_torch_stream(device.index());
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return pool_torch_stream(device.index());
  }
  c10::Stream getNewStream(c10::Device device, int) const override {
    return pool_torch_stream(device.index());
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return exchange_torch_stream(stream);
  }
  void* getStreamNativeHandle(c10::Stream stream) const override { return native_stream(stream); }
  bool queryStream(const c10::Stream& stream) const override {
    return completed(npuStreamQuery(native_stream(stream)));
  }
  void synchronizeStream(const c10::Stream& stream) const override {
    NPU_CHECK(npuStreamSynchronize(native_stream(stream)));
  }
  void recordDataPtrOnStream(const c10::DataPtr& pointer,
                             const c10::Stream& stream) const override {
    record_stream(pointer, stream);
  }

  void record(void** event, const c10::Stream& stream, c10::DeviceIndex device,
              c10::EventFlag) const override {
    TORCH_CHECK(device == -1 || device == stream.device_index(),
                "an event of device npu:", static_cast<int>(device),
                " cannot be recorded on a stream of ", stream.device());
    npuEvent handle = native_event(*event);
    if (handle == nullptr) {
      NPU_CHECK(npuEventCreate(&handle));
      *event = handle;
    }
    NPU_CHECK(npuEventRecord(handle, native_stream(stream)));
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event != nullptr) {
      NPU_CHECK(npuStreamWaitEvent(native_stream(stream), native_event(event)));
    }
  }
  bool queryEvent(void* event) const override {
    return event == nullptr || completed(npuEventQuery(native_event(event)));
  }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) NPU_CHECK(npuEventSynchronize(native_event(event)));
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    if (event != nullptr && !in_bad_fork()) npuEventDestroy(native_event(event));
  }
  double elapsedTime(void* start, void* end, c10::DeviceIndex) const override {
    double nanoseconds = 0;
    const npuStatus status =
        npuEventElapsedTime(native_event(start), native_event(end), &nanoseconds);
    TORCH_CHECK(status != NPU_ERROR_NOT_READY,
                "both events must have completed before the time between them is asked for: "
                "synchronize first");
    NPU_CHECK(status);
    return nanoseconds / kNanosecondsPerMillisecond;
  }

 private:
  static bool completed(npuStatus status) {
    if (status == NPU_ERROR_NOT_READY) return false;
    NPU_CHECK(status);
    return true;
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, NpuGuardImpl);

}  // namespace
}  // namespace npu::backend

// What PyTorch's device-independent code asks an accelerator.
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/DeviceType.h>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"
#include "csrc/backend/runtime/generator.h"
#include "csrc/backend/tensor/resize.h"

namespace npu::backend {
namespace {

struct NpuHooks final : at::PrivateUse1HooksInterface {
  void init() const override { ensure_initialized(); }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count() > 0; }
  bool hasPrimaryContext(c10::DeviceIndex device) const override {
    return is_initialized() && device >= 0 && device < device_count();
  }

  c10::DeviceIndex deviceCount() const override { return device_count(); }
  void setCurrentDevice(c10::DeviceIndex device) const override { set_current_device(device); }
  c10::DeviceIndex getCurrentDevice() const override { return current_device(); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex device) const override {
    return exchange_current_device(device);
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex device) const override {
    return exchange_current_device(device);
  }

  const at::Generator& getDefaultGenerator(c10::DeviceIndex device) const override {
    return default_generator(device);
  }
  at::Generator getNewGenerator(c10::DeviceIndex device) const override {
    device = device_or_current(device);
    check_device_index(device);
    return at::make_generator<NpuGenerator>(device);
  }

  at::Device getDeviceFromPtr(void* pointer) const override {
    npuPointerAttributes attributes{};
    NPU_CHECK(npuPointerGetAttributes(pointer, &attributes));
    TORCH_CHECK(attributes.device >= 0, "the pointer is one of pinned host memory, not the npu's");
    return {c10::kPrivateUse1, static_cast<c10::DeviceIndex>(attributes.device)};
  }
  bool isPinnedPtr(const void* pointer) const override {
    npuPointerAttributes attributes{};
    return is_initialized() && pointer != nullptr &&
           npuPointerGetAttributes(pointer, &attributes) == NPU_SUCCESS && attributes.device == -1;
  }
  c10::Allocator* getPinnedMemoryAllocator() const override {
    return at::getHostAllocator(c10::kPrivateUse1);
  }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    resize_storage(storage.unsafeGetStorageImpl(), bytes);
  }
};

const bool registered = [] {
  c10::register_privateuse1_backend("npu");
  at::RegisterPrivateUse1HooksInterface(new NpuHooks);
  return true;
}();

}  // namespace
}  // namespace npu::backend

#include "csrc/backend/runtime/launch.h"

#include <c10/core/DeviceGuard.h>

#include <map>
#include <mutex>
#include <sstream>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/device.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

npuModule load(const std::string& text) {
  static auto* const modules = new std::map<std::string, npuModule>;
  static auto* const mutex = new std::mutex;
  const std::scoped_lock lock(*mutex);
  const auto found = modules->find(text);
  if (found != modules->end()) return found->second;
  npuModule module = nullptr;
  NPU_CHECK(npuModuleLoadText(text.c_str(), &module));
  modules->emplace(text, module);
  return module;
}

std::string only_kernel(const std::string& text) {
  std::istringstream lines(text);
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find(';')));
    std::string directive;
    if (!(words >> directive) || directive != ".kernel") continue;
    TORCH_CHECK_VALUE(name.empty(), "the text has several kernels: name the one to run");
    words >> name;
  }
  TORCH_CHECK_VALUE(!name.empty(), "the text has no '.kernel NAME' line");
  return name;
}

c10::DeviceIndex device_for(const std::vector<LaunchArg>& args, c10::DeviceIndex device) {
  for (const LaunchArg& arg : args) {
    const auto* const tensor = std::get_if<at::Tensor>(&arg);
    if (tensor == nullptr) continue;
    TORCH_CHECK(is_npu(*tensor), "expected tensors on npu, found one on ", tensor->device());
    if (device < 0) device = tensor->device().index();
    TORCH_CHECK(tensor->device().index() == device,
                "expected all tensors on npu:", static_cast<int>(device), ", found one on ",
                tensor->device());
  }
  return device_or_current(device);
}

npuArg to_native(const LaunchArg& arg) {
  npuArg native{};
  if (const auto* const tensor = std::get_if<at::Tensor>(&arg)) {
    native.kind = NPU_ARG_POINTER;
    native.value.pointer = tensor->data_ptr();
  } else if (const auto* const integer = std::get_if<int64_t>(&arg)) {
    native.kind = NPU_ARG_INTEGER;
    native.value.integer = *integer;
  } else {
    native.kind = NPU_ARG_REAL;
    native.value.real = std::get<double>(arg);
  }
  return native;
}

}  // namespace

void launch(const std::string& text, int64_t grid, const std::vector<LaunchArg>& args,
            c10::DeviceIndex device, const std::string& kernel) {
  device = device_for(args, device);
  const c10::DeviceGuard guard(c10::Device(c10::kPrivateUse1, device));
  std::vector<npuArg> natives;
  natives.reserve(args.size());
  for (const LaunchArg& arg : args) natives.push_back(to_native(arg));
  const npuModule module = load(text);
  npuKernel handle = nullptr;
  NPU_CHECK(
      npuModuleGetKernel(module, (kernel.empty() ? only_kernel(text) : kernel).c_str(), &handle));
  NPU_CHECK(npuLaunchKernel(handle, grid, natives.data(), static_cast<int>(natives.size()),
                            current_stream(device)));
}

}  // namespace npu::backend

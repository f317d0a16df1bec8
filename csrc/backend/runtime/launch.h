// Users' own programs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace npu::backend {

using LaunchArg = std::variant<at::Tensor, int64_t, double>;

// Runs program ids 0 to grid - 1 of a kernel in `text` (docs/isa.md) on the current stream of
// `device`; negative: of the first tensor's device, else the current one. An empty `kernel` means
// the only one of the text. Tensors are passed as the address of their first element. The text is
// assembled once. Throws ValueError for text that does not assemble, RuntimeError for arguments
// that do not match the kernel's declarations; what goes wrong on the device is sticky.
void launch(const std::string& text, int64_t grid, const std::vector<LaunchArg>& args,
            c10::DeviceIndex device = -1, const std::string& kernel = "");

}  // namespace npu::backend

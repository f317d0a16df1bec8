// What the library holds, for tools: names and program text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "npu/npu.h"

namespace npu::kernels {

struct KernelInfo {
  std::string_view name;     // "gemm", "softmax", ...
  std::string_view summary;  // one line
};
std::vector<KernelInfo> library_kernels();

// The program text that the library builds for `machine` (preset or path) for a representative
// dtype and form. NPU_ERROR_NOT_FOUND for unknown names.
npuStatus library_kernel_text(std::string_view name, const char* machine, std::string* text);

}  // namespace npu::kernels

#include "csrc/sdk/runtime/module.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/status.h"
#include "sim/isa/text.h"

namespace npu::sdk {
namespace {

HandlePool<npuKernel_st>& kernel_pool() {
  static auto* kernels = new HandlePool<npuKernel_st>;
  return *kernels;
}

HandlePool<npuModule_st>& module_pool() {
  static auto* modules = new HandlePool<npuModule_st>;
  return *modules;
}

// Whether the line at `start` is a kernel's first.
bool begins_kernel(std::string_view text, size_t start) {
  const size_t word = text.find_first_not_of(" \t\r", start);
  if (word == std::string_view::npos) return false;
  constexpr std::string_view kDirective = ".kernel";
  const std::string_view rest = text.substr(word);
  return rest.starts_with(kDirective) &&
         (rest.size() == kDirective.size() ||
          std::string_view(" \t\r\n;").find(rest[kDirective.size()]) != std::string_view::npos);
}

// One text for each kernel. In front of it stand as many empty lines as the module has before it,
// so that messages number lines as the module does.
std::vector<std::string> kernel_texts(std::string_view text) {
  std::vector<size_t> starts = {0};  // what stands above the first kernel belongs to it
  bool first = true;
  for (size_t line = 0; line < text.size();) {
    if (begins_kernel(text, line) && !std::exchange(first, false)) starts.push_back(line);
    const size_t end = text.find('\n', line);
    if (end == std::string_view::npos) break;
    line = end + 1;
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : text.size();
    texts.emplace_back(
        std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(starts[i]), '\n'), '\n');
    texts.back() += text.substr(starts[i], end - starts[i]);
  }
  return texts;
}

}  // namespace

npuKernel_st* create_kernel(sim::Program program) {
  npuKernel_st* kernel = kernel_pool().create();
  kernel->program = std::move(program);
  return kernel;
}

npuKernel_st& live_kernel(npuKernel kernel) {
  require_process();
  return checked(kernel, "kernel");
}

}  // namespace npu::sdk

using namespace npu::sdk;  // NOLINT(google-build-using-namespace)

extern "C" {

npuStatus npuModuleLoadText(const char* text, npuModule* module) {
  return guarded([&] {
    if (text == nullptr || module == nullptr) {
      return fail(NPU_ERROR_INVALID_VALUE, "npuModuleLoadText: NULL");
    }
    std::vector<npu::sim::Program> programs;
    for (const std::string& kernel : kernel_texts(text)) {
      programs.push_back(npu::sim::assemble(kernel));
      const std::string& name = programs.back().name;
      if (std::any_of(programs.begin(), programs.end() - 1,
                      [&](const auto& other) { return other.name == name; })) {
        return failf(NPU_ERROR_ASSEMBLY, "the module has two kernels '{}'", name);
      }
    }
    npuModule_st* made = module_pool().create();
    made->kernels.clear();
    for (auto& program : programs) made->kernels.push_back(create_kernel(std::move(program)));
    *module = made;
    return NPU_SUCCESS;
  });
}

npuStatus npuModuleUnload(npuModule handle) {
  return guarded([&] {
    npuModule_st& module = checked(handle, "module");
    drain_devices();  // one may run one of the kernels
    for (npuKernel kernel : module.kernels) kernel_pool().destroy(kernel);
    module_pool().destroy(&module);
    return NPU_SUCCESS;
  });
}

npuStatus npuModuleGetKernel(npuModule handle, const char* name, npuKernel* kernel) {
  return guarded([&] {
    if (name == nullptr || kernel == nullptr) {
      return fail(NPU_ERROR_INVALID_VALUE, "npuModuleGetKernel: NULL");
    }
    std::string known;
    for (npuKernel candidate : checked(handle, "module").kernels) {
      if (candidate->program.name == name) {
        *kernel = candidate;
        return NPU_SUCCESS;
      }
      known += (known.empty() ? "'" : ", '") + candidate->program.name + "'";
    }
    return failf(NPU_ERROR_NOT_FOUND, "the module has no kernel '{}', but {}", name, known);
  });
}

npuStatus npuKernelGetText(npuKernel kernel, char* buffer, size_t capacity, size_t* length) {
  return guarded([&] {
    if (length == nullptr || (buffer == nullptr && capacity > 0)) {
      return fail(NPU_ERROR_INVALID_VALUE, "npuKernelGetText: NULL");
    }
    const std::string text = npu::sim::disassemble(live_kernel(kernel).program);
    *length = text.size();
    if (capacity > 0) {
      const size_t copied = std::min(text.size(), capacity - 1);
      std::memcpy(buffer, text.data(), copied);
      buffer[copied] = '\0';
    }
    return NPU_SUCCESS;
  });
}

npuStatus npuKernelGetArgCount(npuKernel kernel, int* count) {
  return guarded([&] {
    if (count == nullptr) return fail(NPU_ERROR_INVALID_VALUE, "npuKernelGetArgCount: NULL");
    *count = static_cast<int>(live_kernel(kernel).program.args.size());
    return NPU_SUCCESS;
  });
}

}  // extern "C"

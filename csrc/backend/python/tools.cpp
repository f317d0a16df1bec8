// The kernel library for tools: names and program text.
#include <npu/kernels/library.h>
#include <pybind11/stl.h>

#include "csrc/backend/python/bindings.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

namespace py = pybind11;

std::vector<std::pair<std::string, std::string>> kernels_by_name() {
  std::vector<std::pair<std::string, std::string>> result;
  for (const auto& info : kernels::library_kernels()) result.emplace_back(info.name, info.summary);
  return result;
}

std::string kernel_text(const std::string& name, const std::string& machine) {
  std::string text;
  NPU_CHECK(kernels::library_kernel_text(name, machine.c_str(), &text));
  return text;
}

}  // namespace

void bind_tools(py::module_& module) {
  module.def("kernels", kernels_by_name);
  module.def("kernel_text", kernel_text);
}

}  // namespace npu::backend

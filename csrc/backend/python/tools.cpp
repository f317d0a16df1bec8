// The kernel library for tools: names, program text, timing without tensor data.
#include <npu/kernels/library.h>
#include <npu/kernels/matmul.h>
#include <pybind11/stl.h>

#include <optional>

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

py::dict time_gemm(int64_t m, int64_t k, int64_t n, int dtype, const std::string& machine,
                   const std::vector<std::string>& overrides) {
  std::vector<const char*> assignments;
  for (const std::string& text : overrides) assignments.push_back(text.c_str());
  kernels::KernelTime time;
  NPU_CHECK(kernels::time_matmul(m, k, n, static_cast<npuDataType>(dtype), machine.c_str(),
                                 assignments, &time));
  py::dict result;
  result["ns"] = time.ns;
  result["device_ns"] = time.device_ns;
  result["cycles"] = time.cycles;
  result["matrix_utilization"] = time.matrix_utilization;
  result["hbm_utilization"] = time.hbm_utilization;
  result["hbm_bytes"] = time.counters.dma_read_bytes + time.counters.dma_write_bytes;
  result["macs"] = time.counters.macs;
  result["padded_macs"] = time.counters.padded_macs;
  result["bound_by"] = time.bound_by;
  return result;
}

// Codes of npuDataType by the names that command lines use.
std::vector<std::pair<std::string, int>> data_types() {
  return {{"f64", NPU_F64}, {"f32", NPU_F32}, {"f16", NPU_F16}, {"bf16", NPU_BF16},
          {"i64", NPU_I64}, {"i32", NPU_I32}, {"i16", NPU_I16}, {"i8", NPU_I8}};
}

}  // namespace

void bind_tools(py::module_& module) {
  module.def("kernels", kernels_by_name);
  module.def("kernel_text", kernel_text);
  module.def("time_gemm", time_gemm);
  module.def("data_types", data_types);
}

}  // namespace npu::backend

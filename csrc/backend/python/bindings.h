// The parts of the Python module npu_torch._C.
#pragma once

#include <torch/csrc/utils/pybind.h>

namespace npu::backend {

void bind_device(pybind11::module_& module);     // devices, streams, generators
void bind_execution(pybind11::module_& module);  // launches, time, counters, fallback
void bind_tools(pybind11::module_& module);      // the kernel library for tools
void bind_estimator(pybind11::module_& module);  // timing without data

}  // namespace npu::backend

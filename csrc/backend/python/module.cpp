#include "csrc/backend/python/bindings.h"

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.doc() = "The NPU's runtime; torch.npu is its public face.";
  npu::backend::bind_device(module);
  npu::backend::bind_execution(module);
  npu::backend::bind_tools(module);
  npu::backend::bind_estimator(module);
}

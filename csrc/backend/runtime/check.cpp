#include "csrc/backend/runtime/check.h"

#include <c10/util/Exception.h>

#include <string>

namespace npu::backend {

void throw_status(npuStatus status, const char* function, const char* file, int line) {
  std::string message = npuGetLastErrorString();
  if (message.empty()) message = npuGetStatusName(status);
  const c10::SourceLocation location{function, file, static_cast<uint32_t>(line)};
  switch (status) {
    case NPU_ERROR_OUT_OF_MEMORY:
      throw c10::OutOfMemoryError(location, message);
    case NPU_ERROR_INVALID_VALUE:
      throw c10::Error(location, message);
    case NPU_ERROR_ASSEMBLY:
      throw c10::ValueError(location, message);
    case NPU_ERROR_UNIMPLEMENTED:
      throw c10::NotImplementedError(location, message);
    default:
      throw c10::AcceleratorError(location, static_cast<int32_t>(status), message);
  }
}

}  // namespace npu::backend

#include "csrc/sdk/runtime/status.h"

namespace npu::sdk {
namespace {

thread_local std::string last_error;

}  // namespace

npuStatus fail(npuStatus status, std::string message) {
  last_error = std::move(message);
  return status;
}

npuStatus status_of(sim::ErrorKind kind) {
  switch (kind) {
    case sim::ErrorKind::kMachineFile:
      return NPU_ERROR_MACHINE_FILE;
    case sim::ErrorKind::kAssembly:
      return NPU_ERROR_ASSEMBLY;
    case sim::ErrorKind::kBadLaunch:
      return NPU_ERROR_INVALID_VALUE;
    case sim::ErrorKind::kOutOfBounds:
    case sim::ErrorKind::kBadAddress:
      return NPU_ERROR_OUT_OF_BOUNDS;
    case sim::ErrorKind::kScratchpadOverflow:
    case sim::ErrorKind::kUnwrittenRead:
    case sim::ErrorKind::kShape:
    case sim::ErrorKind::kRunaway:
    case sim::ErrorKind::kCluster:
    case sim::ErrorKind::kPoison:
      return NPU_ERROR_ILLEGAL_PROGRAM;
    case sim::ErrorKind::kDisabledEngine:
      return NPU_ERROR_DISABLED_ENGINE;
    case sim::ErrorKind::kUnimplemented:
      return NPU_ERROR_UNIMPLEMENTED;
  }
  return NPU_ERROR_INVALID_VALUE;
}

}  // namespace npu::sdk

extern "C" {

const char* npuGetStatusName(npuStatus status) {
  switch (status) {
#define NPU_STATUS_NAME(name) \
  case name:                  \
    return #name;
    NPU_STATUS_NAME(NPU_SUCCESS)
    NPU_STATUS_NAME(NPU_ERROR_INVALID_VALUE)
    NPU_STATUS_NAME(NPU_ERROR_INVALID_DEVICE)
    NPU_STATUS_NAME(NPU_ERROR_INVALID_HANDLE)
    NPU_STATUS_NAME(NPU_ERROR_OUT_OF_MEMORY)
    NPU_STATUS_NAME(NPU_ERROR_NOT_READY)
    NPU_STATUS_NAME(NPU_ERROR_NOT_FOUND)
    NPU_STATUS_NAME(NPU_ERROR_ASSEMBLY)
    NPU_STATUS_NAME(NPU_ERROR_MACHINE_FILE)
    NPU_STATUS_NAME(NPU_ERROR_ENVIRONMENT)
    NPU_STATUS_NAME(NPU_ERROR_OUT_OF_BOUNDS)
    NPU_STATUS_NAME(NPU_ERROR_ILLEGAL_PROGRAM)
    NPU_STATUS_NAME(NPU_ERROR_DISABLED_ENGINE)
    NPU_STATUS_NAME(NPU_ERROR_UNIMPLEMENTED)
    NPU_STATUS_NAME(NPU_ERROR_STALE)
#undef NPU_STATUS_NAME
  }
  return "unknown status";
}

const char* npuGetLastErrorString(void) { return npu::sdk::last_error.c_str(); }

}  // extern "C"

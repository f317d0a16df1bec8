#include "sim/error.h"

namespace npu::sim {

const char* name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kMachineFile:
      return "machine file";
    case ErrorKind::kAssembly:
      return "assembly";
    case ErrorKind::kBadLaunch:
      return "bad launch";
    case ErrorKind::kOutOfBounds:
      return "out of bounds";
    case ErrorKind::kBadAddress:
      return "bad address";
    case ErrorKind::kScratchpadOverflow:
      return "scratchpad overflow";
    case ErrorKind::kUnwrittenRead:
      return "read of unwritten scratchpad";
    case ErrorKind::kShape:
      return "shape";
    case ErrorKind::kRunaway:
      return "runaway program";
    case ErrorKind::kDisabledEngine:
      return "disabled engine";
    case ErrorKind::kUnimplemented:
      return "unimplemented";
    case ErrorKind::kCluster:
      return "cluster";
    case ErrorKind::kPoison:
      return "poison";
  }
  return "unknown";
}

}  // namespace npu::sim

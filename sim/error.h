// How the machine stops: one exception type, sorted by kind.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace npu::sim {

enum class ErrorKind {
  kMachineFile,         // bad key or value in a machine file
  kAssembly,            // text or program that does not verify
  kBadLaunch,           // wrong number or kind of arguments, empty grid
  kOutOfBounds,         // a DMA or scalar load outside its allocation
  kBadAddress,          // a pointer into no live allocation
  kScratchpadOverflow,  // tiles larger than the scratchpad, or a tile larger than its capacity
  kUnwrittenRead,       // scratchpad read before it was written
  kShape,               // tile shapes that do not fit the instruction
  kRunaway,             // more instructions than the limit allows
  kDisabledEngine,      // NPU_DISABLE
  kUnimplemented,       // a dtype or form with a code but no engine
  kCluster,             // programs of a cluster that do not make a multicast load together
  kPoison,              // an integer derived from skipped data steers the program
};

const char* name(ErrorKind kind);

class MachineError : public std::runtime_error {
 public:
  MachineError(ErrorKind kind, const std::string& message)
      : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace npu::sim

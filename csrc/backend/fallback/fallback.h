// What the device lacks runs on the CPU, and is counted: a fallback is a defect, never hidden.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstdint>
#include <map>
#include <string>

namespace npu::backend {

enum class FallbackMode { kWarn, kSilent, kError };

// NPU_FALLBACK: "warn" (the default: once for each operator), "silent" or "error". Throws for
// another value.
FallbackMode fallback_mode();

// Counts one run of `op` ("aten::foo.out") on the CPU. Throws NotImplementedError where the mode
// forbids it. Kernels that go to the CPU for a dtype or form call this before they do.
void record_fallback(const std::string& op);

// Counts and runs any operator on the CPU: what the dispatcher calls for operators that the device
// lacks, and kernels for arguments that they do not take. Results are on the device of the first
// tensor that lives there; a generator of the device is stood in for by one seeded from it.
void cpu_fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack);

// The boxed kernel behind every op that the device does not register; native kernels call it for
// dtypes that they do not compute in. Counts the op, copies its tensors to the CPU and back.
void cpu_fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack);

// Runs since the last reset, by operator.
std::map<std::string, uint64_t> fallback_stats();
void reset_fallback_stats();

}  // namespace npu::backend

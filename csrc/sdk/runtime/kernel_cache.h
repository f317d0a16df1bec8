// The library's programs, built once for each machine and variant.
#pragma once

#include <array>
#include <functional>
#include <string_view>

#include "npu/npu.h"
#include "sim/arch/machine.h"
#include "sim/isa/program.h"

namespace npu::sdk {

// What distinguishes one program of a kernel family from another (dtypes, forms, tile sizes).
// `family` is a string literal.
struct KernelKey {
  std::string_view family;
  std::array<int64_t, 6> variant = {};
  bool operator==(const KernelKey&) const = default;
};

// The machine of the stream's device. Streams are checked: null for a stream that does not exist.
const sim::Machine* machine_of(npuStream stream);

// The kernel for `key` on the stream's machine; `build` runs at the first call only.
npuStatus cached_kernel(npuStream stream, const KernelKey& key,
                        const std::function<sim::Program(const sim::Machine&)>& build,
                        npuKernel* kernel);

inline npuArg arg(void* pointer) { return {NPU_ARG_POINTER, {.pointer = pointer}}; }
inline npuArg arg(int64_t integer) { return {NPU_ARG_INTEGER, {.integer = integer}}; }
inline npuArg arg(double real) { return {NPU_ARG_REAL, {.real = real}}; }

// Scratch memory that lives until the work enqueued so far on the stream has run.
// Taken from a cache of the device; null on failure (the error is set).
npuStatus workspace_alloc(npuStream stream, size_t bytes, void** pointer);
npuStatus workspace_free(npuStream stream, void* pointer);

}  // namespace npu::sdk

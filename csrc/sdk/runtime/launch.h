// Enqueueing a program.
#pragma once

#include <cstdint>
#include <span>

#include "csrc/sdk/runtime/stream.h"
#include "npu/npu.h"
#include "sim/isa/program.h"

namespace npu::sdk {

// What npuLaunchKernel() does, for a program that lives until the stream's work is done.
npuStatus enqueue_launch(npuStream_st& stream, const sim::Program& program, int64_t grid,
                         std::span<const npuArg> args);

// The same for a program that fills [dst, dst + bytes) of the machine's mapping with `value`, which
// is done by DeviceMemory::fill() instead.
npuStatus enqueue_fill(npuStream_st& stream, const sim::Program& program, int64_t grid,
                       std::span<const npuArg> args, std::byte* dst, std::byte value,
                       int64_t bytes);

}  // namespace npu::sdk

// From the SDK's statuses to PyTorch's exceptions.
#pragma once

#include <c10/macros/Macros.h>

#include "npu/npu.h"

namespace npu::backend {

// Throws the exception class that users expect for `status`, with the text of
// npuGetLastErrorString(): c10::OutOfMemoryError for lack of device memory,
// c10::ValueError for program text that does not assemble, c10::NotImplementedError for what the
// device does not implement, c10::AcceleratorError (a RuntimeError in Python) for the rest, sticky
// device errors included.
[[noreturn]] void throw_status(npuStatus status, const char* function, const char* file, int line);

}  // namespace npu::backend

// Evaluates an npuStatus; anything but NPU_SUCCESS throws.
#define NPU_CHECK(expression)                                                  \
  do {                                                                         \
    const npuStatus npu_status_ = (expression);                                \
    if (C10_UNLIKELY(npu_status_ != NPU_SUCCESS)) {                            \
      ::npu::backend::throw_status(npu_status_, __func__, __FILE__, __LINE__); \
    }                                                                          \
  } while (false)

// Failing with a status and a message.
#pragma once

#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "npu/npu.h"
#include "sim/error.h"

namespace npu::sdk {

// Remembers the message for npuGetLastErrorString() and returns the status.
npuStatus fail(npuStatus status, std::string message);

template <class... Args>
npuStatus failf(npuStatus status, fmt::format_string<Args...> format, Args&&... args) {
  return fail(status, fmt::format(format, std::forward<Args>(args)...));
}

npuStatus status_of(sim::ErrorKind kind);

// How a function below the API fails; guarded() turns it into its status.
class StatusError : public std::runtime_error {
 public:
  StatusError(npuStatus status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  npuStatus status() const { return status_; }

 private:
  npuStatus status_;
};

// Runs `body` (returning npuStatus), turning exceptions into statuses.
template <class Body>
npuStatus guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const StatusError& error) {
    return fail(error.status(), error.what());
  } catch (const sim::MachineError& error) {
    return fail(status_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(NPU_ERROR_OUT_OF_MEMORY, "the host is out of memory");
  } catch (const std::exception& error) {
    return fail(NPU_ERROR_INVALID_VALUE, error.what());
  }
}

#define NPU_RETURN_IF_ERROR(expression)                             \
  do {                                                              \
    if (npuStatus status_ = (expression); status_ != NPU_SUCCESS) { \
      return status_;                                               \
    }                                                               \
  } while (0)

}  // namespace npu::sdk

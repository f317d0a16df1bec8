// Events: marks in a stream that can be waited for and timed.
#pragma once

#include <memory>
#include <mutex>

#include "csrc/sdk/runtime/command.h"
#include "csrc/sdk/runtime/handle_pool.h"

struct npuEvent_st : npu::sdk::Handle {
  std::mutex mutex;
  std::shared_ptr<npu::sdk::EventRecord> record;  // the last one; null: never recorded
};

namespace npu::sdk {

// Null if it was never recorded. Throws StatusError for a handle that is no live event.
std::shared_ptr<EventRecord> last_record(npuEvent event);

}  // namespace npu::sdk

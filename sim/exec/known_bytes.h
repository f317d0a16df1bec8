// Which bytes of a memory hold data, where most of it was skipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace npu::sim {

// A set of addresses, empty at first. Thread-safe.
class KnownBytes {
 public:
  void add(const std::byte* begin, int64_t bytes);
  void remove(const std::byte* begin, int64_t bytes);
  void clear();
  // Whether all of [begin, begin + bytes) is known; bytes > 0.
  bool contains(const std::byte* begin, int64_t bytes) const;

 private:
  mutable std::mutex mutex_;
  std::map<uintptr_t, uintptr_t> ranges_;  // begin to end; they neither overlap nor touch
};

}  // namespace npu::sim

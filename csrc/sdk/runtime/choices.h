// What searches have chosen: remembered in the process, and across processes in a TuningCache.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "csrc/sdk/runtime/device.h"
#include "csrc/sdk/runtime/tuning_cache.h"
#include "sim/arch/machine.h"

namespace npu::sdk {

// A problem and a choice are a few integers. Thread-safe; searches run one at a time.
template <size_t kProblem, size_t kChoice>
class Choices {
 public:
  using Problem = std::array<int64_t, kProblem>;
  using Choice = std::array<int64_t, kChoice>;

  explicit Choices(const std::string& family,
                   const std::string& directory = process_environment().cache_dir)
      : cache_(directory, family, build_id()) {}

  // What was chosen for the problem on this machine, or what search() chooses now.
  template <class Search>
  Choice get(const sim::Machine& machine, const Problem& problem, const Search& search) {
    const std::lock_guard lock(mutex_);
    if (machine_ != machine) {
      machine_ = machine;
      machine_hash_ = static_cast<int64_t>(machine_hash(machine));
    }
    Key key = {machine_hash_};
    std::copy(problem.begin(), problem.end(), key.begin() + 1);
    if (const auto known = remembered_.find(key); known != remembered_.end()) return known->second;
    Choice choice;
    const auto found = cache_.find(key);
    if (found && found->size() == kChoice) {
      std::copy(found->begin(), found->end(), choice.begin());
    } else {
      choice = search();
      cache_.store(key, choice);
    }
    // A search that throws leaves nothing behind.
    return remembered_.emplace(key, choice).first->second;
  }

 private:
  using Key = std::array<int64_t, 1 + kProblem>;
  struct KeyHash {
    size_t operator()(const Key& key) const {
      size_t hash = 0;
      for (const int64_t value : key) {
        hash = (hash ^ static_cast<size_t>(value)) * 0x9E3779B97F4A7C15ull;
        hash ^= hash >> 32;
      }
      return hash;
    }
  };

  std::mutex mutex_;
  sim::Machine machine_;  // the last one asked about, and its hash
  int64_t machine_hash_ = static_cast<int64_t>(machine_hash(machine_));
  std::unordered_map<Key, Choice, KeyHash> remembered_;
  TuningCache cache_;
};

}  // namespace npu::sdk

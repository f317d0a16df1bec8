// What searches have found, remembered across processes in the cache directory.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/arch/machine.h"

namespace npu::sdk {

// A family's answers, each a few integers under a key of integers, as lines of one file:
//
//   CHECKSUM KEY ... = VALUE ...
//
// Processes append whole lines and never rewrite any, so they may share a file. Lines that do not
// match their checksum are left out, and a file that cannot be read or written does no harm: either
// is reported on standard error once. Thread-safe.
class TuningCache {
 public:
  // Empty directory: nothing is read or stored. The file's name holds `version`, so that what
  // another version found does not count.
  TuningCache(const std::string& directory, const std::string& family, const std::string& version);
  ~TuningCache();
  TuningCache(const TuningCache&) = delete;
  TuningCache& operator=(const TuningCache&) = delete;

  // The last answer stored under the key, by any process before the first call of this one.
  std::optional<std::vector<int64_t>> find(std::span<const int64_t> key);
  void store(std::span<const int64_t> key, std::span<const int64_t> values);

  const std::string& path() const { return path_; }

 private:
  void read();
  bool open();
  void warn(const std::string& what);

  std::mutex mutex_;
  std::string directory_;
  std::string path_;  // empty: none
  bool read_ = false;
  bool broken_line_ = false;  // the file's last line has no end
  bool unwritable_ = false;
  bool warned_ = false;
  int file_ = -1;
  std::unordered_map<std::string, std::vector<int64_t>> answers_;
};

// The build of this library, which a search's answer depends on: the linker's build id in
// hexadecimal digits; empty where the linker gave none.
std::string build_id();

// A hash of everything that the machine file says.
uint64_t machine_hash(const sim::Machine& machine);

}  // namespace npu::sdk

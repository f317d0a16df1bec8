// A device's memory: the device's addresses, which the host may not touch, and the machine's
// mapping of them, which takes host memory as it is written.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "csrc/sdk/runtime/address_space.h"
#include "sim/exec/launch.h"

namespace npu::sdk {

// What an estimator keeps of data: host copies and fills of at most this size, as integers that
// steer programs come in small tables.
inline constexpr int64_t kKeptBytes = int64_t{16} << 20;

class DeviceMemory {
 public:
  // Throws StatusError if the host cannot map it. `device` is for messages.
  DeviceMemory(int device, int64_t capacity, int64_t row);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // An allocation as its user sees it.
  struct Region {
    std::byte* base;     // device address
    int64_t size;        // bytes
    std::byte* machine;  // the machine's mapping of `base`
  };

  std::optional<Region> allocate(size_t bytes);
  // False unless an allocation starts there. Gives whole pages back to the host.
  bool release(const void* pointer);
  void reset();

  bool owns(const void* pointer) const {
    return static_cast<const std::byte*>(pointer) >= base_ &&
           static_cast<const std::byte*>(pointer) < base_ + span_;
  }
  // The live allocation around the pointer.
  std::optional<Region> find(const void* pointer) const;
  bool is_stale(const void* pointer) const;
  // "nearest allocation: 0x... (64 bytes)"
  std::string nearest(const void* pointer) const;
  // For the fault handler: takes no lock, finds nothing where one is held.
  std::optional<Region> try_find(const void* pointer) const;

  struct Info {
    int64_t used;
    int64_t total;
  };
  Info info() const;

  // Fills [begin, begin + bytes) of the machine's mapping with `value`. Whole pages of zeros go
  // back to the host.
  void fill(std::byte* begin, std::byte value, int64_t bytes);

  // An estimator's memory: which bytes of the machine's mapping hold data. Null: all do.
  sim::KnownBytes* known() { return known_.get(); }
  void forget_data() { known_ = std::make_unique<sim::KnownBytes>(); }

 private:
  Region region(const AddressSpace::Allocation& allocation) const {
    return {base_ + allocation.offset, allocation.size, machine_ + allocation.offset};
  }
  int64_t offset(const void* pointer) const {
    return static_cast<const std::byte*>(pointer) - base_;
  }
  void punch(int64_t begin, int64_t end);  // whole pages inside
  void zero(std::byte* begin, int64_t bytes);

  int device_;
  int64_t span_;
  std::byte* base_ = nullptr;
  std::byte* mapping_ = nullptr;
  std::byte* machine_ = nullptr;  // the first whole page of the mapping
  mutable std::mutex mutex_;
  AddressSpace space_;
  std::unique_ptr<sim::KnownBytes> known_;
};

}  // namespace npu::sdk

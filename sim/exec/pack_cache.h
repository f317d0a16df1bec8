// Blocks of matrix operands that a launch has packed, shared by the host threads that execute it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sim/engine/tile.h"

namespace npu::sim {

// What is packed must stay as it is until clear(): memory that the launch does not write.
class PackCache {
 public:
  // Memory for `blocks` of up to `block_bytes`, taken when they are first needed and kept.
  PackCache(size_t blocks, size_t block_bytes);

  // Forgets everything. Nobody may be using a block.
  void clear();

  // Will the operand be used again? A guess: once one has been, by another product of the launch,
  // all will be.
  bool expects_reuse(const Tile& operand, bool transposed);

  enum class State {
    kReady,  // `data` holds the packed block
    kEmpty,  // the caller must pack it into `data` and say so
    kBusy,   // another thread packs it
    kFull,   // there is no memory for it
  };
  struct Claim {
    State state = State::kFull;
    std::byte* data = nullptr;
    size_t slot = 0;
  };
  // Ready and empty ones stay in memory until they are released. Nobody waits for another thread's
  // packing.
  Claim claim(const Tile& block, bool transposed);
  void packed(const Claim& claim);
  void release(const Claim& claim);

 private:
  struct Key {
    const std::byte* data;
    int64_t ld, rows, cols;
    DType dtype;
    bool transposed;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const;
  };
  struct Slot {
    Key key = {};
    bool ready = false;
    int users = 0;
    uint64_t last_use = 0;  // 0: free
  };
  struct Unmap {
    size_t bytes;
    void operator()(std::byte* data) const;
  };

  std::byte* data_of(size_t slot) const { return memory_.get() + slot * block_bytes_; }
  // The slot used least lately of those that nobody uses; slots_.size() if there is none.
  size_t replaceable() const;

  const size_t block_bytes_;
  std::mutex mutex_;
  std::unique_ptr<std::byte, Unmap> memory_;
  std::vector<Slot> slots_;
  std::unordered_map<Key, size_t, Hash> found_;
  std::unordered_set<Key, Hash> seen_;  // whole operands, until one is reused
  bool reused_ = false;
  uint64_t clock_ = 0;
};

}  // namespace npu::sim

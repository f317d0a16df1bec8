#include "sim/exec/pack_cache.h"

#include <sys/mman.h>

#include <new>

namespace npu::sim {

PackCache::PackCache(size_t blocks, size_t block_bytes)
    : block_bytes_(block_bytes), memory_(nullptr, Unmap{blocks * block_bytes}), slots_(blocks) {}

void PackCache::Unmap::operator()(std::byte* data) const { munmap(data, bytes); }

size_t PackCache::Hash::operator()(const Key& key) const {
  uint64_t hash = reinterpret_cast<uintptr_t>(key.data);
  for (const int64_t part : {key.ld, key.rows, key.cols}) {
    hash = (hash ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15u;
  }
  return hash ^ hash >> 32;
}

void PackCache::clear() {
  seen_.clear();
  reused_ = false;
  if (found_.empty()) return;
  found_.clear();
  for (Slot& slot : slots_) slot = {};
  clock_ = 0;
}

bool PackCache::expects_reuse(const Tile& operand, bool transposed) {
  const std::scoped_lock lock(mutex_);
  if (!reused_) {
    reused_ = !seen_
                   .insert({operand.data, operand.ld, operand.rows, operand.cols, operand.dtype,
                            transposed})
                   .second;
  }
  return reused_;
}

size_t PackCache::replaceable() const {
  size_t best = slots_.size();
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].last_use == 0) return i;
    if (slots_[i].users > 0) continue;
    if (best == slots_.size() || slots_[i].last_use < slots_[best].last_use) best = i;
  }
  return best;
}

PackCache::Claim PackCache::claim(const Tile& block, bool transposed) {
  const Key key{block.data, block.ld, block.rows, block.cols, block.dtype, transposed};
  const std::scoped_lock lock(mutex_);
  if (const auto found = found_.find(key); found != found_.end()) {
    Slot& slot = slots_[found->second];
    if (!slot.ready) return {State::kBusy};
    ++slot.users;
    slot.last_use = ++clock_;
    return {State::kReady, data_of(found->second), found->second};
  }
  if (memory_ == nullptr) {
    const size_t bytes = memory_.get_deleter().bytes;
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    madvise(data, bytes, MADV_HUGEPAGE);
    memory_.reset(static_cast<std::byte*>(data));
  }
  const size_t index = replaceable();
  if (index == slots_.size()) return {State::kFull};
  if (slots_[index].last_use != 0) found_.erase(slots_[index].key);
  slots_[index] = {key, false, 1, ++clock_};
  found_.emplace(key, index);
  return {State::kEmpty, data_of(index), index};
}

void PackCache::packed(const Claim& claim) {
  const std::scoped_lock lock(mutex_);
  slots_[claim.slot].ready = true;
}

void PackCache::release(const Claim& claim) {
  const std::scoped_lock lock(mutex_);
  --slots_[claim.slot].users;
}

}  // namespace npu::sim

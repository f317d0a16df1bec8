#include "csrc/backend/runtime/block_cache.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using c10::CachingAllocator::StatType;

int64_t current(const c10::CachingAllocator::StatArray& stat) {
  return stat[static_cast<size_t>(StatType::AGGREGATE)].current;
}

TEST(BlockCacheTest, ReusesWithinAStream) {
  BlockCache cache(0);
  Block* const first = cache.acquire(1000, 0);
  void* const memory = first->pointer;
  cache.release(first);
  Block* const other_stream = cache.acquire(1000, 1);
  EXPECT_NE(other_stream->pointer, memory);
  Block* const again = cache.acquire(990, 0);
  EXPECT_EQ(again->pointer, memory);
  EXPECT_EQ(cache.stats().num_device_alloc, 2);
  cache.release(again);
  cache.release(other_stream);
  cache.empty();
  EXPECT_EQ(current(cache.stats().reserved_bytes), 0);
  EXPECT_EQ(cache.stats().num_device_free, 2);
}

TEST(BlockCacheTest, WaitsForOtherStreams) {
  BlockCache cache(0);
  Block* const block = cache.acquire(4096, 0);
  void* const memory = block->pointer;
  cache.record_stream(block, 3);
  cache.record_stream(block, 3);
  cache.record_stream(block, 0);  // its own
  ASSERT_EQ(block->other_streams.size(), 1U);
  cache.release(block);
  EXPECT_EQ(current(cache.stats().allocated_bytes), 0);
  EXPECT_EQ(current(cache.stats().active_bytes), 4096);
  const c10::Stream stream(c10::Stream::UNSAFE, {c10::kPrivateUse1, 0}, 3);
  NPU_CHECK(npuStreamSynchronize(native_stream(stream)));
  Block* const again = cache.acquire(4096, 0);
  EXPECT_EQ(again->pointer, memory);
  cache.release(again);
  cache.empty();
}

TEST(BlockCacheTest, ForgottenBlocksAreReleasedWithoutEffect) {
  BlockCache cache(0);
  Block* const held = cache.acquire(100, 0);
  cache.release(cache.acquire(200, 0));
  void* const memory = held->pointer;
  cache.forget();
  EXPECT_EQ(current(cache.stats().reserved_bytes), 0);
  cache.release(held);
  EXPECT_EQ(current(cache.stats().allocated_bytes), 0);
  EXPECT_EQ(npuFree(memory), NPU_SUCCESS);  // the cache itself gave nothing back
}

TEST(BlockCacheTest, FailureNamesTheNumbers) {
  BlockCache cache(0);
  size_t free = 0;
  size_t total = 0;
  NPU_CHECK(npuMemGetInfo(0, &free, &total));
  try {
    cache.acquire(total + 1, 0);
    FAIL() << "there cannot be so much memory";
  } catch (const c10::OutOfMemoryError& error) {
    const std::string text = error.what_without_backtrace();
    EXPECT_NE(text.find(std::to_string(total + 1) + " bytes"), std::string::npos) << text;
    EXPECT_NE(text.find("free " + std::to_string(free)), std::string::npos) << text;
    EXPECT_NE(text.find("total " + std::to_string(total)), std::string::npos) << text;
  }
  EXPECT_EQ(cache.stats().num_ooms, 1);
  EXPECT_EQ(cache.stats().num_alloc_retries, 1);
}

TEST(BlockCacheTest, KeptMemoryMakesRoom) {
  BlockCache cache(0);
  size_t free = 0;
  size_t total = 0;
  NPU_CHECK(npuMemGetInfo(0, &free, &total));
  Block* const kept = cache.acquire(size_t{1} << 29, 0);
  cache.release(kept);
  Block* const rest = cache.acquire(free, 0);  // not a size class: rounded up, it would not fit
  EXPECT_EQ(rest->size, free);
  cache.release(rest);
  EXPECT_EQ(current(cache.stats().reserved_bytes), 0);
}

TEST(BlockCacheTest, ThreadsShareIt) {
  BlockCache cache(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Block*> held;
      for (int i = 0; i < 2000; ++i) {
        held.push_back(cache.acquire(1 + (i * 37 + t * 11) % 20'000, t % 2));
        if (held.size() > 8) {
          cache.release(held.front());
          held.erase(held.begin());
        }
      }
      for (Block* block : held) cache.release(block);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(current(cache.stats().allocated_bytes), 0);
  EXPECT_EQ(current(cache.stats().allocation), 0);
  cache.empty();
  EXPECT_EQ(current(cache.stats().segment), 0);
}

}  // namespace
}  // namespace npu::backend

#include "sim/exec/pack_cache.h"

#include <gtest/gtest.h>

namespace npu::sim {
namespace {

using State = PackCache::State;

Tile block_at(std::byte* data) { return {data, 16, 4, 8, DType::f32}; }

TEST(PackCache, OnePacksAndTheOthersRead) {
  std::byte operand[64];
  PackCache cache(2, 4096);
  const Tile block = block_at(operand);
  const PackCache::Claim mine = cache.claim(block, false);
  ASSERT_EQ(mine.state, State::kEmpty);
  EXPECT_EQ(cache.claim(block, false).state, State::kBusy);
  EXPECT_EQ(cache.claim(block, true).state, State::kEmpty);  // packed otherwise
  mine.data[0] = std::byte{7};
  cache.packed(mine);
  const PackCache::Claim theirs = cache.claim(block, false);
  ASSERT_EQ(theirs.state, State::kReady);
  EXPECT_EQ(theirs.data[0], std::byte{7});
}

TEST(PackCache, ReplacesWhatWasUsedLeastLately) {
  std::byte operands[192];
  PackCache cache(2, 4096);
  const auto use = [&](int64_t offset) {
    const PackCache::Claim claim = cache.claim(block_at(operands + offset), false);
    if (claim.state == State::kEmpty) cache.packed(claim);
    if (claim.state != State::kFull) cache.release(claim);
    return claim.state;
  };
  EXPECT_EQ(use(0), State::kEmpty);
  EXPECT_EQ(use(64), State::kEmpty);
  EXPECT_EQ(use(0), State::kReady);
  EXPECT_EQ(use(128), State::kEmpty);  // instead of 64
  EXPECT_EQ(use(0), State::kReady);
  EXPECT_EQ(use(64), State::kEmpty);  // instead of 128
  // What is in use stays.
  const PackCache::Claim first = cache.claim(block_at(operands), false);
  const PackCache::Claim second = cache.claim(block_at(operands + 64), false);
  EXPECT_EQ(first.state, State::kReady);
  EXPECT_EQ(second.state, State::kReady);
  EXPECT_EQ(use(128), State::kFull);
  cache.release(second);
  EXPECT_EQ(use(128), State::kEmpty);
}

TEST(PackCache, ExpectsReuseOnceItHasSeenOne) {
  std::byte operands[192];
  PackCache cache(1, 4096);
  EXPECT_FALSE(cache.expects_reuse(block_at(operands), false));
  EXPECT_FALSE(cache.expects_reuse(block_at(operands), true));
  EXPECT_FALSE(cache.expects_reuse(block_at(operands + 64), false));
  EXPECT_TRUE(cache.expects_reuse(block_at(operands), false));
  EXPECT_TRUE(cache.expects_reuse(block_at(operands + 128), false));
}

TEST(PackCache, ForgetsWhenCleared) {
  std::byte operand[64];
  PackCache cache(1, 4096);
  const Tile block = block_at(operand);
  EXPECT_FALSE(cache.expects_reuse(block, false));
  EXPECT_TRUE(cache.expects_reuse(block, false));
  cache.packed(cache.claim(block, false));  // never released, as by a launch that failed
  cache.clear();
  EXPECT_FALSE(cache.expects_reuse(block, false));
  EXPECT_EQ(cache.claim(block, false).state, State::kEmpty);
}

}  // namespace
}  // namespace npu::sim

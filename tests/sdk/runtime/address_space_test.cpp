#include "csrc/sdk/runtime/address_space.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace npu::sdk {
namespace {

constexpr int64_t kRow = 2048;
constexpr int64_t kMiB = int64_t{1} << 20;

TEST(AddressSpace, RoundsToRows) {
  AddressSpace space(100 * kRow, 400 * kRow, kRow);
  const auto a = space.allocate(1);
  const auto b = space.allocate(kRow);
  const auto c = space.allocate(kRow + 1);
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(a->offset, 0);
  EXPECT_EQ(b->offset, kRow);
  EXPECT_EQ(c->offset, 2 * kRow);
  EXPECT_EQ(c->size, kRow + 1);
  EXPECT_EQ(c->reserved, 2 * kRow);
  EXPECT_EQ(space.used(), 4 * kRow);
}

TEST(AddressSpace, LargeOnesStartOnHugePages) {
  AddressSpace space(100 * kMiB, 400 * kMiB, kRow);
  ASSERT_TRUE(space.allocate(1));
  EXPECT_EQ(space.allocate(2 * kMiB)->offset, 2 * kMiB);
  EXPECT_EQ(space.allocate(kMiB)->offset, kRow);  // the gap in front is not lost
}

TEST(AddressSpace, BestFitAmongFreeRanges) {
  AddressSpace space(1000 * kRow, 4000 * kRow, kRow);
  std::vector<int64_t> offsets;
  for (const int rows : {5, 1, 3, 1, 4, 1}) offsets.push_back(space.allocate(rows * kRow)->offset);
  for (const int i : {0, 2, 4}) ASSERT_TRUE(space.release(offsets[i]));
  EXPECT_EQ(space.allocate(3 * kRow)->offset, offsets[2]);
  EXPECT_EQ(space.allocate(4 * kRow)->offset, offsets[4]);
  EXPECT_EQ(space.allocate(2 * kRow)->offset, offsets[0]);
  EXPECT_EQ(space.allocate(3 * kRow)->offset, offsets[0] + 2 * kRow);
}

TEST(AddressSpace, NeighboursMerge) {
  AddressSpace space(1000 * kRow, 1000 * kRow, kRow);
  std::vector<int64_t> offsets;
  for (int i = 0; i < 5; ++i) offsets.push_back(space.allocate(kRow)->offset);
  for (const int i : {1, 3, 2}) ASSERT_TRUE(space.release(offsets[i]));
  EXPECT_EQ(space.allocate(3 * kRow)->offset, offsets[1]);
}

TEST(AddressSpace, CapacityCountsNotAddresses) {
  AddressSpace space(10 * kRow, 40 * kRow, kRow);
  std::vector<int64_t> offsets;
  for (int i = 0; i < 10; ++i) offsets.push_back(space.allocate(kRow)->offset);
  EXPECT_FALSE(space.allocate(1));
  for (int i = 0; i < 10; i += 2) ASSERT_TRUE(space.release(offsets[i]));
  EXPECT_FALSE(space.allocate(6 * kRow));
  EXPECT_TRUE(space.allocate(5 * kRow));  // in one piece, though the free rows are scattered
  EXPECT_FALSE(space.allocate(0));
  EXPECT_FALSE(space.allocate(int64_t{1} << 62));
}

TEST(AddressSpace, FindsTheAllocationAround) {
  AddressSpace space(100 * kRow, 400 * kRow, kRow);
  const auto a = *space.allocate(100);
  const auto empty = *space.allocate(0);
  EXPECT_EQ(space.find(a.offset)->offset, a.offset);
  EXPECT_EQ(space.find(a.offset + 99)->offset, a.offset);
  EXPECT_FALSE(space.find(a.offset + 100));
  EXPECT_EQ(space.find(empty.offset)->size, 0);
  EXPECT_FALSE(space.find(empty.offset + 1));
  EXPECT_FALSE(space.release(a.offset + 1));
  EXPECT_TRUE(space.release(a.offset));
  EXPECT_FALSE(space.find(a.offset));
  EXPECT_FALSE(space.release(a.offset));
}

TEST(AddressSpace, NearestIsTheCloserOne) {
  AddressSpace space(100 * kRow, 400 * kRow, kRow);
  EXPECT_FALSE(space.nearest(0));
  const auto a = *space.allocate(kRow);
  const auto gap = *space.allocate(10 * kRow);
  const auto b = *space.allocate(kRow);
  ASSERT_TRUE(space.release(gap.offset));
  EXPECT_EQ(space.nearest(a.offset + 10)->offset, a.offset);
  EXPECT_EQ(space.nearest(a.offset + 3 * kRow)->offset, a.offset);
  EXPECT_EQ(space.nearest(b.offset - kRow)->offset, b.offset);
  EXPECT_EQ(space.nearest(b.offset + 50 * kRow)->offset, b.offset);
}

TEST(AddressSpace, ResetMakesAddressesStale) {
  AddressSpace space(100 * kRow, 400 * kRow, kRow);
  const auto a = *space.allocate(60 * kRow);
  space.reset();
  EXPECT_EQ(space.used(), 0);
  EXPECT_TRUE(space.is_stale(a.offset));
  EXPECT_FALSE(space.is_stale(a.offset + 60 * kRow));
  const auto b = *space.allocate(90 * kRow);
  EXPECT_GE(b.offset, a.offset + 60 * kRow);
  EXPECT_FALSE(space.is_stale(b.offset));
  EXPECT_TRUE(space.is_stale(a.offset));
}

TEST(AddressSpace, StaleAddressesReturnWhenNoOthersAreLeft) {
  AddressSpace space(100 * kRow, 400 * kRow, kRow);
  for (int i = 0; i < 20; ++i) {
    const auto a = space.allocate(100 * kRow);
    ASSERT_TRUE(a) << i;
    EXPECT_FALSE(space.is_stale(a->offset));
    space.reset();
  }
}

TEST(AddressSpace, RandomUseKeepsItsBooks) {
  std::mt19937 random(3);
  AddressSpace space(500 * kMiB, 2000 * kMiB, kRow);
  std::vector<AddressSpace::Allocation> live;
  int64_t used = 0;
  for (int step = 0; step < 20000; ++step) {
    if (random() % 5 < 3) {
      const auto made = space.allocate(static_cast<int64_t>(random() % (1u << random() % 25)));
      if (!made) continue;
      ASSERT_EQ(made->offset % kRow, 0);
      live.push_back(*made);
      used += made->reserved;
    } else if (!live.empty()) {
      const size_t victim = random() % live.size();
      ASSERT_TRUE(space.release(live[victim].offset));
      used -= live[victim].reserved;
      live[victim] = live.back();
      live.pop_back();
    }
    ASSERT_EQ(space.used(), used);
  }
  for (const auto& allocation : live) {
    ASSERT_EQ(space.find(allocation.offset)->reserved, allocation.reserved);
    ASSERT_TRUE(space.release(allocation.offset));
  }
  EXPECT_EQ(space.used(), 0);
}

}  // namespace
}  // namespace npu::sdk

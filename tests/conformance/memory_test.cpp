// Allocation, limits, pointers and pinned memory.
#include <csignal>
#include <random>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

using MemoryTest = DeviceTest;

constexpr size_t kRow = 2048;  // n1's hbm.row_bytes

size_t free_memory(int device = 0) {
  size_t bytes = 0;
  EXPECT_OK(npuMemGetInfo(device, &bytes, nullptr));
  return bytes;
}

TEST_F(MemoryTest, AllocationsStartOnARow) {
  for (size_t bytes : {0, 1, 100, 2048, 2049, 5 << 20}) {
    Memory memory(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.get()) % kRow, 0u) << bytes;
  }
}

TEST_F(MemoryTest, NothingStillHasAnAddressOfItsOwn) {
  Memory a(0);
  Memory b(0);
  EXPECT_NE(a.get(), nullptr);
  EXPECT_NE(a.get(), b.get());
}

TEST_F(MemoryTest, FreeingNullIsFine) { EXPECT_OK(npuFree(nullptr)); }

TEST_F(MemoryTest, OnlyStartsOfAllocationsCanBeFreed) {
  Memory memory(4096);
  EXPECT_FAILURE(npuFree(memory.at(2048)), NPU_ERROR_INVALID_VALUE, "nearest allocation", "4096");
  int host = 0;
  EXPECT_FAILURE(npuFree(&host), NPU_ERROR_INVALID_VALUE, "not an address of a device");
  void* pointer = nullptr;
  ASSERT_OK(npuMalloc(0, 4096, &pointer));
  EXPECT_OK(npuFree(pointer));
  EXPECT_EQ(npuFree(pointer), NPU_ERROR_INVALID_VALUE);
}

TEST_F(MemoryTest, InfoCountsWholeRows) {
  const size_t before = free_memory();
  {
    Memory memory(kRow + 1);
    EXPECT_EQ(free_memory(), before - 2 * kRow);
  }
  EXPECT_EQ(free_memory(), before);
  size_t total = 0;
  ASSERT_OK(npuMemGetInfo(0, nullptr, &total));
  EXPECT_EQ(total, size_t{64} << 30);
}

TEST_F(MemoryTest, MoreThanTheHostHas) {
  Memory memory(size_t{48} << 30);
  upload(memory.at((size_t{48} << 30) - 4), std::vector<int>{42});
  EXPECT_EQ(download<int>(memory.at((size_t{48} << 30) - 4), 1)[0], 42);
}

TEST_F(MemoryTest, OutOfMemoryNamesItsNumbers) {
  const size_t total = size_t{64} << 30;
  Memory memory(size_t{40} << 30);
  void* pointer = nullptr;
  EXPECT_FAILURE(npuMalloc(0, size_t{30} << 30, &pointer), NPU_ERROR_OUT_OF_MEMORY,
                 "requested " + std::to_string(size_t{30} << 30),
                 "free " + std::to_string(size_t{24} << 30), "total " + std::to_string(total));
  EXPECT_FAILURE(npuMalloc(0, ~size_t{0}, &pointer), NPU_ERROR_OUT_OF_MEMORY,
                 "requested 18446744073709551615");
  Memory rest(size_t{24} << 30);  // not sticky, and exactly what is free is to be had
  EXPECT_EQ(free_memory(), 0u);
  EXPECT_EQ(free_memory(1), total);
}

TEST_F(MemoryTest, LiveAllocationsNeverOverlap) {
  std::mt19937 random(1);
  struct Block {
    std::byte* begin;
    size_t bytes;
  };
  std::vector<Block> live;
  for (int step = 0; step < 2000; ++step) {
    if (live.size() < 50 || random() % 2 == 0) {
      const size_t bytes = size_t{1} << random() % 24;
      void* pointer = nullptr;
      ASSERT_OK(npuMalloc(0, bytes, &pointer));
      auto* begin = static_cast<std::byte*>(pointer);
      for (const Block& other : live) {
        ASSERT_TRUE(begin + bytes <= other.begin || other.begin + other.bytes <= begin);
      }
      live.push_back({begin, bytes});
    } else {
      const size_t victim = random() % live.size();
      ASSERT_OK(npuFree(live[victim].begin));
      live[victim] = live.back();
      live.pop_back();
    }
  }
  for (const Block& block : live) ASSERT_OK(npuFree(block.begin));
  EXPECT_EQ(free_memory(), size_t{64} << 30);
}

TEST_F(MemoryTest, FragmentsDoNotStandInTheWay) {
  std::vector<void*> pieces(64);
  for (void*& piece : pieces) ASSERT_OK(npuMalloc(0, size_t{1} << 30, &piece));
  for (size_t i = 0; i < pieces.size(); i += 2) ASSERT_OK(npuFree(pieces[i]));
  {
    Memory memory(size_t{32} << 30);
  }
  for (size_t i = 1; i < pieces.size(); i += 2) ASSERT_OK(npuFree(pieces[i]));
}

TEST_F(MemoryTest, AttributesFindTheAllocation) {
  Memory memory(5000, 1);
  npuPointerAttributes attributes;
  for (size_t offset : {0, 1, 2048, 4999}) {
    ASSERT_OK(npuPointerGetAttributes(memory.at(offset), &attributes));
    EXPECT_EQ(attributes.device, 1);
    EXPECT_EQ(attributes.base, memory.get());
    EXPECT_EQ(attributes.size, 5000u);
  }
  EXPECT_FAILURE(npuPointerGetAttributes(memory.at(5000), &attributes), NPU_ERROR_INVALID_VALUE,
                 "in no allocation");
  EXPECT_FAILURE(npuPointerGetAttributes(&attributes, &attributes), NPU_ERROR_INVALID_VALUE,
                 "neither");
}

TEST_F(MemoryTest, AttributesFollowReuse) {
  void* first = nullptr;
  ASSERT_OK(npuMalloc(0, 4096, &first));
  npuPointerAttributes attributes;
  ASSERT_OK(npuPointerGetAttributes(static_cast<std::byte*>(first) + 3000, &attributes));
  ASSERT_OK(npuFree(first));
  EXPECT_EQ(npuPointerGetAttributes(first, &attributes), NPU_ERROR_INVALID_VALUE);
  Memory again(100);
  ASSERT_OK(npuPointerGetAttributes(again.get(), &attributes));
  EXPECT_EQ(attributes.size, 100u);
}

TEST_F(MemoryTest, PinnedMemory) {
  void* pointer = nullptr;
  ASSERT_OK(npuHostAlloc(10000, &pointer));
  std::memset(pointer, 1, 10000);  // the host's to use
  npuPointerAttributes attributes;
  ASSERT_OK(npuPointerGetAttributes(static_cast<char*>(pointer) + 9999, &attributes));
  EXPECT_EQ(attributes.device, -1);
  EXPECT_EQ(attributes.base, pointer);
  EXPECT_EQ(attributes.size, 10000u);
  EXPECT_EQ(npuHostFree(static_cast<char*>(pointer) + 1), NPU_ERROR_INVALID_VALUE);
  EXPECT_OK(npuHostFree(pointer));
  EXPECT_EQ(npuHostFree(pointer), NPU_ERROR_INVALID_VALUE);
  EXPECT_OK(npuHostFree(nullptr));
  EXPECT_EQ(npuHostAlloc(~size_t{0}, &pointer), NPU_ERROR_OUT_OF_MEMORY);
}

class MemoryDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(MemoryDeathTest, LimitIsEnforced) {
  EXPECT_IN_PROCESS((Environment{{"NPU_HBM_LIMIT", "3M"}}), {
    npuDeviceProperties properties;
    ASSERT_OK(npuGetDeviceProperties(0, &properties));
    EXPECT_EQ(properties.total_memory, 3 << 20);
    Memory memory(2 << 20);
    void* pointer = nullptr;
    EXPECT_FAILURE(npuMalloc(0, (1 << 20) + 1, &pointer), NPU_ERROR_OUT_OF_MEMORY,
                   "requested 1048577, free 1048576, total 3145728");
  });
}

TEST_F(MemoryDeathTest, LimitAboveTheMachineChangesNothing) {
  EXPECT_IN_PROCESS((Environment{{"NPU_HBM_LIMIT", "1000G"}}),
                    EXPECT_EQ(free_memory(), size_t{64} << 30));
}

void touch(void* pointer) { *static_cast<volatile int*>(pointer) = 1; }

TEST_F(MemoryDeathTest, HostAccessIsReportedBeforeTheSignal) {
  EXPECT_DEATH(
      {
        void* pointer = nullptr;
        if (npuMalloc(1, 4096, &pointer) == NPU_SUCCESS) touch(pointer);
      },
      "host code touched device memory at 0x[0-9a-f]+ \\(device 1, allocation 0x[0-9a-f]+, 4096 "
      "bytes\\): copy it to the host first");
  EXPECT_DEATH(
      {
        void* pointer = nullptr;
        if (npuMalloc(0, 4096, &pointer) == NPU_SUCCESS) {
          touch(static_cast<std::byte*>(pointer) + (1 << 20));
        }
      },
      "device 0, outside any allocation");
}

TEST_F(MemoryDeathTest, OtherFaultsStayWhatTheyWere) {
#ifdef NPU_SANITIZE
  GTEST_SKIP() << "the sanitizer reports faults its own way";
#endif
  EXPECT_EXIT(
      {
        default_stream();
        touch(reinterpret_cast<void*>(64));
      },
      ::testing::KilledBySignal(SIGSEGV), "^$");
}

}  // namespace
}  // namespace npu::conformance

// Errors of the machine: sticky on their device until its reset.
#include <atomic>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

class StickyTest : public DeviceTest {
 protected:
  void TearDown() override { ASSERT_OK(npuDeviceReset(0)); }
};

TEST_F(StickyTest, OutOfBoundsNamesKernelAndInstruction) {
  Module module(kPoke);
  Memory memory(64);
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{16})}, stream));
  EXPECT_FAILURE(npuStreamSynchronize(stream), NPU_ERROR_OUT_OF_BOUNDS, "device 0", "'poke'",
                 "instruction 1", "'x'", "[64, 68)");
}

TEST_F(StickyTest, EveryCallReportsIt) {
  Module module(kPoke);
  Memory memory(64);
  Event event;
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{-1})}, stream));
  EXPECT_EQ(npuDeviceSynchronize(0), NPU_ERROR_OUT_OF_BOUNDS);

  void* pointer = nullptr;
  size_t bytes = 0;
  char host[64] = {};
  double time = 0;
  npuCounters counters;
  npuStream other = nullptr;
  const npuStatus statuses[] = {
      npuDeviceGetStatus(0),
      npuDeviceSynchronize(0),
      npuMalloc(0, 16, &pointer),
      npuMemGetInfo(0, &bytes, &bytes),
      npuMemcpyAsync(memory.get(), host, 64, NPU_HOST_TO_DEVICE, stream),
      npuMemcpyAsync(host, memory.get(), 64, NPU_DEVICE_TO_HOST, stream),
      npuMemsetAsync(memory.get(), 0, 64, stream),
      npuStreamCreate(0, &other),
      npuStreamQuery(stream),
      npuStreamSynchronize(stream),
      npuStreamWaitEvent(stream, event),
      npuStreamAddCallback(
          stream, [](void*) {}, nullptr),
      npuEventRecord(event, stream),
      launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{0})}, stream),
      npuGetCounters(0, &counters),
      npuResetCounters(0),
      npuGetSimulatedTime(0, &time),
  };
  for (size_t i = 0; i < std::size(statuses); ++i) {
    EXPECT_EQ(statuses[i], NPU_ERROR_OUT_OF_BOUNDS) << "call " << i;
  }
  EXPECT_NE(std::string(npuGetLastErrorString()).find("'poke'"), std::string::npos);

  // What only describes, and what gives back, still works.
  npuDeviceProperties properties;
  int device = -1;
  npuPointerAttributes attributes;
  EXPECT_OK(npuGetDeviceProperties(0, &properties));
  EXPECT_OK(npuDeviceGetDefaultStream(0, &other));
  EXPECT_OK(npuStreamGetDevice(stream, &device));
  EXPECT_OK(npuPointerGetAttributes(memory.get(), &attributes));
  // Other devices do not notice.
  EXPECT_OK(npuDeviceSynchronize(1));
}

TEST_F(StickyTest, PendingWorkIsDroppedButNobodyHangs) {
  Module module(std::string(kPoke) + kScale);
  Memory memory(64);
  upload(memory.get(), std::vector<double>(8, 5));
  Event event;
  std::atomic<bool> open{false};
  std::atomic<int> called{0};
  ASSERT_OK(npuStreamAddCallback(
      stream,
      [](void* user) {
        while (!static_cast<std::atomic<bool>*>(user)->load()) {
        }
      },
      &open));
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{99})}, stream));
  ASSERT_OK(launch(module.kernel("scale"), 1, {arg(memory), arg(2.0), arg(0.0)}, stream));
  ASSERT_OK(npuStreamAddCallback(
      stream, [](void* user) { ++*static_cast<std::atomic<int>*>(user); }, &called));
  ASSERT_OK(npuEventRecord(event, stream));
  ASSERT_OK(npuStreamWaitEvent(default_stream(1), event));
  open = true;
  EXPECT_EQ(npuEventSynchronize(event), NPU_ERROR_OUT_OF_BOUNDS);
  EXPECT_EQ(called, 1);
  EXPECT_OK(npuDeviceSynchronize(1));
}

TEST_F(StickyTest, TheFirstErrorStays) {
  Module module(kPoke);
  Memory memory(64);
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{1000})}, stream));
  (void)launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{2000})}, stream);
  EXPECT_FAILURE(npuDeviceSynchronize(0), NPU_ERROR_OUT_OF_BOUNDS, "[4000, 4004)");
}

TEST_F(StickyTest, ResetStartsAnew) {
  Module module(std::string(kPoke) + kVectorAdd);
  void* old = nullptr;
  ASSERT_OK(npuMalloc(0, 4096, &old));
  Stream other;
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(old), arg(int64_t{5000})}, other));
  EXPECT_EQ(npuDeviceSynchronize(0), NPU_ERROR_OUT_OF_BOUNDS);
  ASSERT_OK(npuDeviceReset(0));

  EXPECT_OK(npuDeviceGetStatus(0));
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  ASSERT_OK(npuMemGetInfo(0, &free_bytes, &total_bytes));
  EXPECT_EQ(free_bytes, total_bytes);
  npuCounters counters;
  ASSERT_OK(npuGetCounters(0, &counters));
  EXPECT_EQ(counters.launches, 0u);
  double time = -1;
  ASSERT_OK(npuGetSimulatedTime(0, &time));
  EXPECT_EQ(time, 0);

  // Streams, modules and events live on.
  Memory memory(64);
  EXPECT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{3})}, other));
  EXPECT_EQ(download<float>(memory.get(), 4, other)[3], 1);

  // Pointers do not.
  EXPECT_NE(memory.get(), old);
  const float host = 0;
  EXPECT_FAILURE(npuMemcpyAsync(old, &host, 4, NPU_HOST_TO_DEVICE, stream), NPU_ERROR_STALE,
                 "reset");
  EXPECT_FAILURE(launch(module.kernel("poke"), 1, {arg(old), arg(int64_t{0})}, stream),
                 NPU_ERROR_STALE, "'poke'", "'x'");
  npuPointerAttributes attributes;
  EXPECT_EQ(npuPointerGetAttributes(old, &attributes), NPU_ERROR_STALE);
  EXPECT_OK(npuFree(old));
}

TEST_F(StickyTest, MemoryOfAResetDeviceIsCleared) {
  void* old = nullptr;
  ASSERT_OK(npuMalloc(0, 4096, &old));
  ASSERT_OK(npuMemsetAsync(old, 0xff, 4096, stream));
  ASSERT_OK(npuDeviceReset(0));
  EXPECT_EQ(npuMemsetAsync(old, 0, 4096, stream), NPU_ERROR_STALE);
  EXPECT_OK(npuDeviceGetStatus(0));
}

TEST_F(StickyTest, IllegalProgramsStop) {
  Module module(R"(
.kernel unwritten
.arg x ptr
.tile t f32 4
.tile u f32 4
v.neg u, t
.kernel shapes
.arg x ptr
.tile t f32 4
.tile u f32 6
.tile v f32 8
v.fill t, 1.0, (1, 4)
v.fill u, 1.0, (1, 3)
v.add v, t, u
.kernel overflow
.arg x ptr
.tile t f32 4
v.fill t, 1.0, (1, 5)
)");
  Memory memory(64);
  for (const char* name : {"unwritten", "shapes", "overflow"}) {
    ASSERT_OK(launch(module.kernel(name), 1, {arg(memory)}, stream));
    EXPECT_FAILURE(npuDeviceSynchronize(0), NPU_ERROR_ILLEGAL_PROGRAM, name, "program 0");
    ASSERT_OK(npuDeviceReset(0));
    ASSERT_OK(npuMalloc(0, 64, &memory.reset()));
  }
}

class DisabledEngineDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(DisabledEngineDeathTest, FailsNamingEngineAndKernel) {
  EXPECT_IN_PROCESS((Environment{{"NPU_DISABLE", "vector"}}), {
    Module module(std::string(kPoke) + kBusy);
    Memory memory(64);
    EXPECT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{1})}, default_stream()));
    EXPECT_OK(npuMemsetAsync(memory.get(), 0, 64, default_stream()));
    EXPECT_OK(npuDeviceSynchronize(0));
    EXPECT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{0})}, default_stream()));
    EXPECT_FAILURE(npuDeviceSynchronize(0), NPU_ERROR_DISABLED_ENGINE, "vector", "'poke'");
  });
  EXPECT_IN_PROCESS((Environment{{"NPU_DISABLE", "matrix,dma"}}), {
    Memory memory(size_t{128} << 20);
    EXPECT_OK(npuMemsetAsync(memory.get(), 0, size_t{128} << 20, default_stream()));
    EXPECT_FAILURE(npuDeviceSynchronize(0), NPU_ERROR_DISABLED_ENGINE, "dma");
  });
}

}  // namespace
}  // namespace npu::conformance

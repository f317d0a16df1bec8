// Devices that only tell time.
#include <cmath>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

// Takes as many rounds as x[0] says.
constexpr char kRounds[] = R"(
.kernel rounds
.arg x ptr
s.load.i32 r0, x[0]
loop r1, r0
endloop
)";

struct Recorded {
  std::vector<npuActivity> activities;
  std::vector<std::string> names;
};

void record(const npuActivity* activity, void* user) {
  auto* const recorded = static_cast<Recorded*>(user);
  recorded->activities.push_back(*activity);
  recorded->names.emplace_back(activity->name);
}

class EstimatorTest : public ::testing::Test {
 protected:
  void SetUp() override { open("n1"); }
  void TearDown() override {
    if (device >= 0) {
      EXPECT_OK(npuEstimatorClose(device));
    }
  }
  void open(const char* machine, const std::vector<const char*>& overrides = {}) {
    if (device >= 0) {
      ASSERT_OK(npuEstimatorClose(device));
    }
    ASSERT_OK(npuEstimatorOpen(machine, overrides.data(), static_cast<int>(overrides.size()),
                               record, &recorded, &device));
    stream = default_stream(device);
  }
  void* allocate(size_t bytes) const {
    void* pointer = nullptr;
    EXPECT_OK(npuMalloc(device, bytes, &pointer));
    return pointer;
  }
  uint64_t rounds_cycles(void* x) {
    EXPECT_OK(launch(module.kernel("rounds"), 1, {arg(x)}, stream));
    return recorded.activities.back().cycles;
  }
  void expect_poison(void* x) {
    EXPECT_FAILURE(launch(module.kernel("rounds"), 1, {arg(x)}, stream), NPU_ERROR_ILLEGAL_PROGRAM,
                   "kernel 'rounds'", "skipped", "argument 'x'", "allocation");
    EXPECT_FAILURE(npuDeviceSynchronize(device), NPU_ERROR_ILLEGAL_PROGRAM);  // sticky
    ASSERT_OK(npuDeviceReset(device));
  }

  Module module{std::string(kVectorAdd) + kRounds + kPoke};
  Recorded recorded;
  int device = -1;
  npuStream stream = nullptr;
};

TEST_F(EstimatorTest, IsAMachineOfItsOwn) {
  int before = 0;
  ASSERT_OK(npuGetDeviceCount(&before));
  EXPECT_GE(device, before);
  open("n1-edge", {"core.count=2", "hbm.bandwidth_gbps=x0.5"});
  npuDeviceProperties edge;
  ASSERT_OK(npuGetDeviceProperties(device, &edge));
  EXPECT_EQ(edge.core_count, 2);
  int plain = -1;
  ASSERT_OK(npuEstimatorOpen("n1-edge", nullptr, 0, nullptr, nullptr, &plain));
  npuDeviceProperties properties;
  ASSERT_OK(npuGetDeviceProperties(plain, &properties));
  EXPECT_EQ(edge.hbm_bandwidth_gbps, properties.hbm_bandwidth_gbps / 2);
  EXPECT_NE(device, plain);
  ASSERT_OK(npuEstimatorClose(plain));
  int after = 0;
  ASSERT_OK(npuGetDeviceCount(&after));
  EXPECT_EQ(after, before);
}

TEST_F(EstimatorTest, SaysTheTimeOfADeviceThatComputes) {
  npuDeviceProperties properties;
  ASSERT_OK(npuGetDeviceProperties(0, &properties));
  open(properties.name);
  constexpr int64_t kCount = 100000;
  double elapsed[2];
  npuCounters counters[2];
  const int devices[] = {0, device};
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(npuDeviceReset(devices[i]));
    void* x = nullptr;
    ASSERT_OK(npuMalloc(devices[i], 4 * kCount, &x));
    ASSERT_OK(npuMemsetAsync(x, 1, 4 * kCount, default_stream(devices[i])));
    for (int repeat = 0; repeat < 3; ++repeat) {
      ASSERT_OK(launch(module.kernel("vector_add"), (kCount + 255) / 256,
                       {arg(x), arg(x), arg(x), arg(kCount)}, default_stream(devices[i])));
    }
    ASSERT_OK(npuGetSimulatedTime(devices[i], &elapsed[i]));
    ASSERT_OK(npuGetCounters(devices[i], &counters[i]));
  }
  EXPECT_EQ(elapsed[0], elapsed[1]);
  EXPECT_EQ(counters[0].dma_read_bytes, counters[1].dma_read_bytes);
  EXPECT_EQ(counters[0].vector_instructions, counters[1].vector_instructions);
  EXPECT_EQ(counters[1].launches, 4u);
  ASSERT_OK(npuDeviceReset(0));
}

TEST_F(EstimatorTest, ReportsActivitiesWithEngines) {
  void* x = allocate(1 << 20);
  ASSERT_OK(launch(module.kernel("vector_add"), 1024,
                   {arg(x), arg(x), arg(x), arg(int64_t{1} << 18)}, stream));
  // By the return of the call, without waiting.
  ASSERT_EQ(recorded.names, (std::vector<std::string>{"vector_add"}));
  const npuActivity& activity = recorded.activities[0];
  EXPECT_EQ(activity.device, device);
  EXPECT_EQ(activity.counters.dma_read_bytes, 2u << 20);
  EXPECT_GT(activity.hbm_utilization, 0);
  EXPECT_GT(activity.engines[NPU_ENGINE_VECTOR].busy, 0u);
  EXPECT_EQ(activity.engines[NPU_ENGINE_MATRIX].busy, 0u);
  for (const npuEngineCycles& engine : activity.engines) {
    EXPECT_EQ((engine.busy + engine.stall) % activity.cycles, 0u);
  }
}

TEST_F(EstimatorTest, MemoryIsAddressesUpToTheCapacity) {
  open("n1", {"hbm.capacity_gib=8192"});  // more than any host has
  void* half = allocate(size_t{4096} << 30);
  void* other = allocate(size_t{4095} << 30);
  EXPECT_NE(half, other);
  void* none = nullptr;
  EXPECT_FAILURE(npuMalloc(device, size_t{2} << 30, &none), NPU_ERROR_OUT_OF_MEMORY, "requested");
  ASSERT_OK(npuMemsetAsync(half, 0, size_t{1} << 30, stream));
  ASSERT_OK(npuFree(half));
  ASSERT_OK(npuMalloc(device, size_t{2} << 30, &none));
}

TEST_F(EstimatorTest, UploadedIntegersSteer) {
  void* x = allocate(4096);
  upload<int32_t>(x, {100}, stream);
  const uint64_t hundred = rounds_cycles(x);
  upload<int32_t>(x, {200}, stream);
  EXPECT_GT(rounds_cycles(x), hundred + 90);
  upload<int32_t>(x, {100}, stream);
  EXPECT_EQ(rounds_cycles(x), hundred);
  EXPECT_EQ(download<int32_t>(x, 1, stream), (std::vector<int32_t>{100}));
  ASSERT_OK(npuMemsetAsync(x, 0, 4096, stream));
  EXPECT_LT(rounds_cycles(x), hundred);
  EXPECT_EQ(download<int32_t>(x, 2, stream), (std::vector<int32_t>{0, 0}));
  ASSERT_OK(npuMemsetAsync(x, 1, 4, stream));
  EXPECT_EQ(download<int32_t>(x, 2, stream), (std::vector<int32_t>{0x01010101, 0}));
}

TEST_F(EstimatorTest, SkippedDataDoesNot) {
  expect_poison(allocate(4096));
  // A launch may have written there.
  void* x = allocate(4096);
  upload<int32_t>(x, {100}, stream);
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(x), arg(int64_t{9})}, stream));
  expect_poison(x);
  // What lay there before.
  x = allocate(4096);
  upload<int32_t>(x, {100}, stream);
  ASSERT_OK(npuFree(x));
  void* again = allocate(4096);
  EXPECT_EQ(again, x);
  expect_poison(again);
  // Large copies hold no integers that steer.
  const std::vector<int32_t> large((16 << 20) / 4 + 1, 100);
  x = allocate(4 * large.size());
  upload(x, large, stream);
  expect_poison(x);
  x = allocate(4 * large.size());
  upload(x, std::vector<int32_t>(large.begin(), large.end() - 1), stream);
  EXPECT_GT(rounds_cycles(x), 100u);
}

TEST_F(EstimatorTest, NothingComesBackToTheHost) {
  void* x = allocate(4096);
  float value = 7;
  EXPECT_FAILURE(npuMemcpyAsync(&value, x, 4, NPU_DEVICE_TO_HOST, stream),
                 NPU_ERROR_ILLEGAL_PROGRAM, "skipped");
  EXPECT_EQ(value, 7);
}

TEST_F(EstimatorTest, HasNoPeers) {
  const Memory real(64);
  void* x = allocate(64);
  EXPECT_FAILURE(npuMemcpyAsync(x, real.get(), 64, NPU_DEVICE_TO_DEVICE, stream),
                 NPU_ERROR_INVALID_VALUE, "no peers");
  EXPECT_FAILURE(launch(module.kernel("rounds"), 1, {arg(real.get())}, stream),
                 NPU_ERROR_INVALID_VALUE, "device 0");
}

TEST_F(EstimatorTest, HasStreamsAndEvents) {
  npuStream other = nullptr;
  ASSERT_OK(npuStreamCreate(device, &other));
  Event start;
  Event end;
  ASSERT_OK(npuEventRecord(start, stream));
  void* x = allocate(4096);
  upload<int32_t>(x, {1000000}, stream);
  const uint64_t cycles = rounds_cycles(x);
  ASSERT_OK(npuEventRecord(end, stream));
  ASSERT_OK(npuEventQuery(end));
  ASSERT_OK(npuStreamWaitEvent(other, end));
  ASSERT_OK(npuStreamSynchronize(other));
  double elapsed = 0;
  ASSERT_OK(npuEventElapsedTime(start, end, &elapsed));
  EXPECT_GT(elapsed, static_cast<double>(cycles) / 1.4);
  // Its events stay, its streams do not.
  ASSERT_OK(npuEstimatorClose(device));
  double again = 0;
  ASSERT_OK(npuEventElapsedTime(start, end, &again));
  EXPECT_EQ(again, elapsed);
  ASSERT_OK(npuEventSynchronize(end));
  EXPECT_FAILURE(npuStreamSynchronize(other), NPU_ERROR_INVALID_HANDLE, "stream");
  EXPECT_FAILURE(npuStreamSynchronize(stream), NPU_ERROR_INVALID_HANDLE, "stream");
  EXPECT_FAILURE(npuEstimatorClose(device), NPU_ERROR_INVALID_DEVICE, "no estimator");
  EXPECT_FAILURE(npuDeviceSynchronize(device), NPU_ERROR_INVALID_DEVICE);
  device = -1;
}

TEST_F(EstimatorTest, BadArguments) {
  int made = -1;
  EXPECT_FAILURE(npuEstimatorOpen("n7", nullptr, 0, nullptr, nullptr, &made),
                 NPU_ERROR_MACHINE_FILE, "'n7'", "n1-edge");
  const char* const unknown[] = {"hbm.speed=3"};
  EXPECT_FAILURE(npuEstimatorOpen("n1", unknown, 1, nullptr, nullptr, &made),
                 NPU_ERROR_MACHINE_FILE, "hbm.speed");
  EXPECT_FAILURE(npuEstimatorOpen("n1", nullptr, 1, nullptr, nullptr, &made),
                 NPU_ERROR_INVALID_VALUE, "NULL");
  EXPECT_FAILURE(npuEstimatorOpen(nullptr, nullptr, 0, nullptr, nullptr, &made),
                 NPU_ERROR_INVALID_VALUE, "NULL");
  EXPECT_EQ(made, -1);
  EXPECT_FAILURE(npuEstimatorClose(0), NPU_ERROR_INVALID_DEVICE, "no estimator");
}

TEST(EstimatorDeathTest, StartsNoDevicesAndObeysNoneOfTheirVariables) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Environment environment = {{"NPU_ARCH", "nonsense"},
                                   {"NPU_HBM_LIMIT", "1M"},
                                   {"NPU_TIMING", "off"},
                                   {"NPU_DISABLE", "dma"}};
  EXPECT_IN_PROCESS(environment, {
    int device = -1;
    EXPECT_OK(npuEstimatorOpen("n1", nullptr, 0, nullptr, nullptr, &device));
    void* x = nullptr;
    EXPECT_OK(npuMalloc(device, 64 << 20, &x));
    EXPECT_OK(npuMemsetAsync(x, 0, 64 << 20, default_stream(device)));
    double time = 0;
    EXPECT_OK(npuGetSimulatedTime(device, &time));
    EXPECT_GT(time, 2000 + (64 << 20) / 2400.0);
    EXPECT_OK(npuFree(x));
  });
}

}  // namespace
}  // namespace npu::conformance

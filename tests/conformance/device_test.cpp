// Devices, their properties and the environment.
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

int device_count() {
  int count = -1;
  EXPECT_OK(npuGetDeviceCount(&count));
  return count;
}

void expect_refused(const Environment& environment, npuStatus status,
                    const std::vector<std::string>& texts) {
  EXPECT_IN_PROCESS(environment, {
    int count = 0;
    EXPECT_FAILURE(npuGetDeviceCount(&count), status, texts);
    void* pointer = nullptr;
    EXPECT_FAILURE(npuMalloc(0, 1, &pointer), status, texts);
  });
}

class DeviceDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST(Device, TwoByDefault) { EXPECT_EQ(device_count(), 2); }

TEST(Device, PropertiesComeFromTheMachineFile) {
  npuDeviceProperties properties;
  ASSERT_OK(npuGetDeviceProperties(1, &properties));
  EXPECT_STREQ(properties.name, "n1");
  EXPECT_EQ(properties.clock_ghz, 1.4);
  EXPECT_EQ(properties.core_count, 16);
  EXPECT_EQ(properties.scratchpad_bytes, 4 << 20);
  EXPECT_EQ(properties.matrix_rows, 128);
  EXPECT_EQ(properties.matrix_cols, 128);
  EXPECT_EQ(properties.vector_lanes, 512);
  EXPECT_EQ(properties.special_lanes, 128);
  EXPECT_EQ(properties.total_memory, int64_t{64} << 30);
  EXPECT_EQ(properties.hbm_bandwidth_gbps, 2400);
  EXPECT_EQ(properties.launch_ns, 2000);
  EXPECT_DOUBLE_EQ(properties.peak_macs_per_second, 1.4e9 * 16 * 128 * 128);
}

TEST(Device, NumbersAreChecked) {
  npuDeviceProperties properties;
  npuStream stream = nullptr;
  void* pointer = nullptr;
  size_t bytes = 0;
  double time = 0;
  npuCounters counters;
  for (int device : {-1, 2, 1 << 30}) {
    const std::string number = std::to_string(device);
    EXPECT_FAILURE(npuGetDeviceProperties(device, &properties), NPU_ERROR_INVALID_DEVICE, number,
                   "has 2");
    EXPECT_FAILURE(npuMalloc(device, 16, &pointer), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuMemGetInfo(device, &bytes, &bytes), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuDeviceGetDefaultStream(device, &stream), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuStreamCreate(device, &stream), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuDeviceSynchronize(device), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuDeviceReset(device), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuDeviceGetStatus(device), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuGetCounters(device, &counters), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuResetCounters(device), NPU_ERROR_INVALID_DEVICE, number);
    EXPECT_FAILURE(npuGetSimulatedTime(device, &time), NPU_ERROR_INVALID_DEVICE, number);
  }
}

TEST(Device, NullResultsAreRefused) {
  EXPECT_EQ(npuGetDeviceCount(nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuGetDeviceProperties(0, nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuMalloc(0, 16, nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuHostAlloc(16, nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuDeviceGetDefaultStream(0, nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuStreamCreate(0, nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuEventCreate(nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuGetCounters(0, nullptr), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(npuGetSimulatedTime(0, nullptr), NPU_ERROR_INVALID_VALUE);
}

TEST(Device, StatusesHaveNames) {
  EXPECT_STREQ(npuGetStatusName(NPU_SUCCESS), "NPU_SUCCESS");
  EXPECT_STREQ(npuGetStatusName(NPU_ERROR_STALE), "NPU_ERROR_STALE");
  EXPECT_STREQ(npuGetStatusName(static_cast<npuStatus>(15)), "unknown status");
}

TEST(Device, LastErrorIsOfTheThread) {
  EXPECT_EQ(npuDeviceSynchronize(77), NPU_ERROR_INVALID_DEVICE);
  const std::string mine = npuGetLastErrorString();
  EXPECT_NE(mine.find("77"), std::string::npos);
  std::string other = "not run";
  std::thread([&] { other = npuGetLastErrorString(); }).join();
  EXPECT_EQ(other, "");
  EXPECT_OK(npuDeviceSynchronize(0));  // success leaves it alone
  EXPECT_EQ(npuGetLastErrorString(), mine);
}

TEST_F(DeviceDeathTest, CountFollowsTheEnvironment) {
  EXPECT_IN_PROCESS((Environment{{"NPU_DEVICE_COUNT", "5"}}), EXPECT_EQ(device_count(), 5));
  EXPECT_IN_PROCESS((Environment{{"NPU_DEVICE_COUNT", "5"}, {"NPU_VISIBLE_DEVICES", "3,0,1"}}),
                    EXPECT_EQ(device_count(), 3));
  EXPECT_IN_PROCESS((Environment{{"NPU_VISIBLE_DEVICES", ""}}), EXPECT_EQ(device_count(), 0));
}

TEST_F(DeviceDeathTest, ArchFollowsTheEnvironment) {
  EXPECT_IN_PROCESS((Environment{{"NPU_ARCH", "n1-edge"}}), {
    npuDeviceProperties properties;
    ASSERT_OK(npuGetDeviceProperties(0, &properties));
    EXPECT_STREQ(properties.name, "n1-edge");
    EXPECT_EQ(properties.core_count, 1);
    EXPECT_EQ(properties.total_memory, int64_t{4} << 30);
  });
}

TEST_F(DeviceDeathTest, WrongValuesNameVariableValueAndTheRightOnes) {
  expect_refused({{"NPU_DEVICE_COUNT", "many"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_DEVICE_COUNT=many", "1 to 64"});
  expect_refused({{"NPU_VISIBLE_DEVICES", "0,2"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_VISIBLE_DEVICES=0,2", "0 to 1"});
  expect_refused({{"NPU_HBM_LIMIT", "1T"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_HBM_LIMIT=1T", "K, M or G"});
  expect_refused({{"NPU_HOST_THREADS", "0"}}, NPU_ERROR_ENVIRONMENT, {"NPU_HOST_THREADS=0"});
  expect_refused({{"NPU_DISABLE", "matrix,cube"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_DISABLE=matrix,cube", "'matrix', 'vector' and 'dma'"});
  expect_refused({{"NPU_TIMING", "fast"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_TIMING=fast", "'on' or 'off'"});
  expect_refused({{"NPU_LAUNCH_BLOCKING", "yes"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_LAUNCH_BLOCKING=yes", "'1' or '0'"});
  expect_refused({{"NPU_CACHE_DIR", "/dev/null"}}, NPU_ERROR_ENVIRONMENT,
                 {"NPU_CACHE_DIR=/dev/null"});
  expect_refused({{"NPU_ARCH", "n17"}}, NPU_ERROR_MACHINE_FILE, {"NPU_ARCH=n17", "n1-edge"});
}

TEST_F(DeviceDeathTest, ForkedChildrenAreTold) {
  EXPECT_EXIT(
      {
        default_stream();
        const pid_t child = fork();
        if (child == 0) {
          int count = 0;
          void* pointer = nullptr;
          EXPECT_FAILURE(npuMalloc(0, 16, &pointer), NPU_ERROR_INVALID_DEVICE, "fork");
          EXPECT_FAILURE(npuGetDeviceCount(&count), NPU_ERROR_INVALID_DEVICE, "fork");
          std::exit(::testing::Test::HasFailure() ? 1 : 7);
        }
        int status = 0;
        waitpid(child, &status, 0);
        void* pointer = nullptr;
        EXPECT_OK(npuMalloc(0, 16, &pointer));  // the parent goes on
        std::exit(::testing::Test::HasFailure() ? 1 : WEXITSTATUS(status));
      },
      ::testing::ExitedWithCode(7), "");
}

TEST_F(DeviceDeathTest, CountingBeforeAForkIsFine) {
  EXPECT_EXIT(
      {
        const int count = device_count();
        const pid_t child = fork();
        if (child == 0) {
          Memory memory(16);
          std::exit(!::testing::Test::HasFailure() && device_count() == count ? 7 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        std::exit(WEXITSTATUS(status));
      },
      ::testing::ExitedWithCode(7), "");
}

TEST_F(DeviceDeathTest, ExitWithPendingWork) {
  EXPECT_IN_PROCESS({}, {
    Module module(kBusy);
    for (int i = 0; i < 500; ++i) {
      EXPECT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{10000})}, default_stream()));
    }
  });
}

}  // namespace
}  // namespace npu::conformance

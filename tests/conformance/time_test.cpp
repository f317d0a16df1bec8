// Simulated time and what profilers see.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

// n1's numbers.
constexpr double kLaunchNs = 2000;
constexpr double kLinkLatencyNs = 1000;
constexpr double kLinkGbps = 64;

class TimeTest : public DeviceTest {
 protected:
  static double now() {
    double time = 0;
    EXPECT_OK(npuGetSimulatedTime(0, &time));
    return time;
  }
  // Device time of one launch of busy(n).
  double busy_ns(int64_t n) {
    const double start = now();
    EXPECT_OK(launch(module.kernel("busy"), 1, {arg(n)}, stream));
    return now() - start - kLaunchNs;
  }
  Module module{std::string(kBusy) + kScale + kVectorAdd};
};

TEST_F(TimeTest, StandsStillWithoutWork) {
  const double start = now();
  EXPECT_EQ(now(), start);
  {
    Memory memory(1 << 20);
  }
  EXPECT_EQ(now(), start);
}

TEST_F(TimeTest, LaunchesCostTheHost) {
  const double start = now();
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{1})}, stream));
  }
  const double elapsed = now() - start;
  // Ten launches from the host, each of which is done before the next arrives.
  EXPECT_GT(elapsed, 10 * kLaunchNs);
  EXPECT_LT(elapsed, 10 * kLaunchNs + 1000);
}

TEST_F(TimeTest, LaunchesOfADeviceFollowEachOther) {
  const double one = busy_ns(100000);
  ASSERT_GT(one, 10 * kLaunchNs);
  Stream other;
  const double start = now();
  ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{100000})}, stream));
  ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{100000})}, other));
  EXPECT_DOUBLE_EQ(now() - start, kLaunchNs + 2 * one);
}

TEST_F(TimeTest, CopiesTakeTheHostLink) {
  constexpr size_t kSize = 64000;
  Memory memory(kSize);
  const double start = now();
  upload(memory.get(), std::vector<char>(kSize));
  EXPECT_NEAR(now() - start, kLinkLatencyNs + kSize / kLinkGbps, 0.01);
  const double middle = now();
  (void)download<char>(memory.get(), kSize);
  EXPECT_NEAR(now() - middle, kLinkLatencyNs + kSize / kLinkGbps, 0.01);
}

TEST_F(TimeTest, CopiesOverlapWithLaunchesOfOtherStreams) {
  const double one = busy_ns(100000);
  Memory memory(64000);
  void* pinned = nullptr;
  ASSERT_OK(npuHostAlloc(64000, &pinned));
  Stream other;
  const double start = now();
  ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{100000})}, stream));
  ASSERT_OK(npuMemcpyAsync(memory.get(), pinned, 64000, NPU_HOST_TO_DEVICE, other));
  EXPECT_DOUBLE_EQ(now() - start, kLaunchNs + one);
  ASSERT_OK(npuHostFree(pinned));
}

TEST_F(TimeTest, OneLinkCarriesOneTransferADirection) {
  constexpr size_t kSize = 640000;
  Memory a(kSize);
  Memory b(kSize);
  void* pinned = nullptr;
  ASSERT_OK(npuHostAlloc(kSize, &pinned));
  Stream other;
  double start = now();
  ASSERT_OK(npuMemcpyAsync(a.get(), pinned, kSize, NPU_HOST_TO_DEVICE, stream));
  ASSERT_OK(npuMemcpyAsync(b.get(), pinned, kSize, NPU_HOST_TO_DEVICE, other));
  EXPECT_NEAR(now() - start, kLinkLatencyNs + 2 * kSize / kLinkGbps, 0.01);
  start = now();
  ASSERT_OK(npuMemcpyAsync(a.get(), pinned, kSize, NPU_HOST_TO_DEVICE, stream));
  ASSERT_OK(npuMemcpyAsync(pinned, b.get(), kSize, NPU_DEVICE_TO_HOST, other));
  EXPECT_NEAR(now() - start, kLinkLatencyNs + kSize / kLinkGbps, 0.01);
  ASSERT_OK(npuHostFree(pinned));
}

TEST_F(TimeTest, EventsMeasure) {
  const double one = busy_ns(50000);
  Event start;
  Event end;
  double elapsed = 0;
  EXPECT_FAILURE(npuEventElapsedTime(start, end, &elapsed), NPU_ERROR_INVALID_VALUE,
                 "start event was never recorded");
  ASSERT_OK(npuEventRecord(start, stream));
  EXPECT_FAILURE(npuEventElapsedTime(start, end, &elapsed), NPU_ERROR_INVALID_VALUE,
                 "end event was never recorded");
  ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{50000})}, stream));
  ASSERT_OK(npuEventRecord(end, stream));
  ASSERT_OK(npuEventSynchronize(end));
  ASSERT_OK(npuEventElapsedTime(start, end, &elapsed));
  EXPECT_DOUBLE_EQ(elapsed, kLaunchNs + one);
  ASSERT_OK(npuEventElapsedTime(end, start, &elapsed));
  EXPECT_DOUBLE_EQ(elapsed, -kLaunchNs - one);
  EXPECT_EQ(npuEventElapsedTime(start, end, nullptr), NPU_ERROR_INVALID_VALUE);
}

TEST_F(TimeTest, PendingEventsAreNotReady) {
  Event event;
  std::mutex gate;
  gate.lock();
  ASSERT_OK(npuStreamAddCallback(
      stream, [](void* user) { std::lock_guard wait(*static_cast<std::mutex*>(user)); }, &gate));
  ASSERT_OK(npuEventRecord(event, stream));
  double elapsed = 0;
  EXPECT_FAILURE(npuEventElapsedTime(event, event, &elapsed), NPU_ERROR_NOT_READY, "pending");
  gate.unlock();
  ASSERT_OK(npuEventSynchronize(event));
  ASSERT_OK(npuEventElapsedTime(event, event, &elapsed));
  EXPECT_EQ(elapsed, 0);
}

TEST_F(TimeTest, WaitingForAnEventMovesTheStream) {
  ASSERT_OK(npuDeviceReset(1));
  const double one = busy_ns(100000);
  Event produced;
  Event start;
  Event end;
  ASSERT_OK(npuEventRecord(start, default_stream(1)));
  ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{100000})}, stream));
  ASSERT_OK(npuEventRecord(produced, stream));
  ASSERT_OK(npuStreamWaitEvent(default_stream(1), produced));
  ASSERT_OK(npuEventRecord(end, default_stream(1)));
  ASSERT_OK(npuEventSynchronize(end));
  double elapsed = 0;
  ASSERT_OK(npuEventElapsedTime(start, end, &elapsed));
  EXPECT_DOUBLE_EQ(elapsed, kLaunchNs + one);
}

TEST_F(TimeTest, ThreadsHaveClocksOfTheirOwn) {
  (void)busy_ns(100000);
  const double mine = now();
  double other_elapsed = -1;
  std::thread([&] {
    Event start;
    Event end;
    Stream stream_of_other(1);
    EXPECT_OK(npuEventRecord(start, stream_of_other));
    EXPECT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{1})}, stream_of_other));
    EXPECT_OK(npuEventRecord(end, stream_of_other));
    EXPECT_OK(npuEventSynchronize(end));
    EXPECT_OK(npuEventElapsedTime(start, end, &other_elapsed));
  }).join();
  EXPECT_LT(other_elapsed, kLaunchNs + 1000);
  EXPECT_EQ(now(), mine);
}

std::vector<double> enqueue_times;
void note_enqueue(const npuActivity* activity, void*) {
  enqueue_times.push_back(activity->enqueue_ns);
}

TEST_F(TimeTest, ThreadsThatTakeTurnsGoOnFromEachOther) {
  (void)busy_ns(100000);
  const double start = now();
  const auto launches = [&](int count) {
    for (int i = 0; i < count; ++i) {
      EXPECT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{1})}, stream));
    }
  };
  enqueue_times.clear();
  ASSERT_OK(npuSetActivityCallback(note_enqueue, nullptr));
  launches(2);
  std::thread(launches, 3).join();
  launches(1);
  std::thread([&] {
    launches(1);
    (void)now();
  }).join();
  const double last = enqueue_times.back();
  std::thread(launches, 1).join();
  const double end = now();
  ASSERT_OK(npuSetActivityCallback(nullptr, nullptr));
  ASSERT_EQ(enqueue_times.size(), 8u);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_NEAR(enqueue_times[i], start + static_cast<double>(i + 1) * kLaunchNs, 0.01) << i;
  }
  // The thread before the last one waited for its launch.
  EXPECT_GT(enqueue_times[7], last + kLaunchNs);
  EXPECT_GE(end, enqueue_times[7]);
}

TEST_F(TimeTest, FreeingMovesNoClock) {
  const auto measure = [&](bool free) {
    const double start = now();
    auto memory = std::make_unique<Memory>(1 << 20);
    EXPECT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{100000})}, stream));
    if (free) memory.reset();
    EXPECT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{100000})}, stream));
    return now() - start;
  };
  const double kept = measure(false);
  EXPECT_NEAR(measure(true), kept, 0.01);
}

TEST_F(TimeTest, DoesNotDependOnTheAllocation) {
  double first = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<std::unique_ptr<Memory>> clutter;
    for (int i = 0; i <= 3 * repeat; ++i) clutter.push_back(std::make_unique<Memory>(3000 * i));
    Memory a(40000);
    Memory b(40000);
    Memory c(40000);
    const double start = now();
    ASSERT_OK(launch(module.kernel("vector_add"), 40, {arg(a), arg(b), arg(c), arg(int64_t{10000})},
                     stream));
    const double elapsed = now() - start;
    if (repeat == 0) first = elapsed;
    EXPECT_EQ(elapsed, first);
  }
}

struct Seen {
  std::string name;
  std::string bound_by;
  npuActivity activity;
};

TEST_F(TimeTest, ActivitiesTellEverything) {
  Memory a(40000);
  Memory b(40000);
  Memory c(40000);
  Stream other;
  std::vector<Seen> seen;
  ASSERT_OK(npuSetActivityCallback(
      [](const npuActivity* activity, void* user) {
        static_cast<std::vector<Seen>*>(user)->push_back(
            {activity->name, activity->bound_by, *activity});
      },
      &seen));
  upload(a.get(), std::vector<float>(10000, 1.0f));
  ASSERT_OK(launch(module.kernel("vector_add"), 40, {arg(a), arg(b), arg(c), arg(int64_t{10000})},
                   other));
  ASSERT_OK(npuMemcpyAsync(b.get(), a.get(), 40000, NPU_DEVICE_TO_DEVICE, stream));
  (void)download<float>(c.get(), 100);
  ASSERT_OK(npuDeviceSynchronize(0));
  ASSERT_OK(npuSetActivityCallback(nullptr, nullptr));
  ASSERT_OK(launch(module.kernel("busy"), 1, {arg(int64_t{1})}, stream));
  ASSERT_OK(npuDeviceSynchronize(0));

  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].name, "copy host to device");
  EXPECT_EQ(seen[0].activity.counters.host_to_device_bytes, 40000u);
  EXPECT_EQ(seen[0].activity.stream, 0u);
  const npuActivity& add = seen[1].activity;
  EXPECT_EQ(seen[1].name, "vector_add");
  EXPECT_EQ(add.grid, 40);
  EXPECT_EQ(add.device, 0);
  EXPECT_NE(add.stream, 0u);
  EXPECT_EQ(add.counters.launches, 1u);
  EXPECT_EQ(add.counters.dma_read_bytes, 80000u);
  EXPECT_GT(add.cycles, 0u);
  EXPECT_NEAR(add.duration_ns, static_cast<double>(add.cycles) / 1.4, 0.001);
  EXPECT_GE(add.start_ns, add.enqueue_ns);
  EXPECT_GT(add.hbm_utilization, 0);
  EXPECT_LE(add.hbm_utilization, 1);
  EXPECT_EQ(add.matrix_utilization, 0);
  EXPECT_FALSE(seen[1].bound_by.empty());
  EXPECT_EQ(seen[2].activity.counters.dma_write_bytes, 40000u);
  EXPECT_EQ(seen[3].name, "copy device to host");
  for (size_t i = 1; i < seen.size(); ++i) {
    EXPECT_GT(seen[i].activity.sequence, seen[i - 1].activity.sequence);
  }
}

std::string result_file(pid_t pid) {
  return ::testing::TempDir() + "npu_conformance_time_" + std::to_string(pid);
}

// Leaves everything that simulated time can show in its parent's file.
void simulate_for_parent() {
  Module module(std::string(kVectorAdd) + kScale);
  npuStream stream = default_stream();
  Stream other;
  Memory a(1 << 20);
  Memory b(1 << 20);
  Memory c(1 << 20);
  upload(a.get(), std::vector<float>(1 << 18, 1.5f));
  upload(b.get(), std::vector<float>(1 << 18, 2.5f), other);
  Event ready;
  EXPECT_OK(npuEventRecord(ready, other));
  EXPECT_OK(npuStreamWaitEvent(stream, ready));
  for (int i = 0; i < 20; ++i) {
    EXPECT_OK(launch(module.kernel("vector_add"), 1024,
                     {arg(a), arg(b), arg(c), arg(int64_t{(1 << 18) - i})}, stream));
    EXPECT_OK(npuMemcpyAsync(a.get(), c.get(), 1000 * i + 1, NPU_DEVICE_TO_DEVICE, other));
  }
  const auto result = download<float>(c.get(), 1 << 18);
  double time = 0;
  EXPECT_OK(npuGetSimulatedTime(0, &time));
  std::FILE* file = std::fopen(result_file(getppid()).c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fprintf(file, "time %a, result %a", time, result[77]);
  std::fclose(file);
}

std::string simulate(const Environment& environment) {
  EXPECT_IN_PROCESS(environment, simulate_for_parent());
  const std::string path = result_file(getpid());
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::remove(path.c_str());
  return line;
}

TEST(TimeDeathTest, IsTheSameInEveryRun) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // All processes first: each starts by running this test up to its own place.
  const std::string once = simulate({{"NPU_HOST_THREADS", "1"}});
  const std::string twice = simulate({{"NPU_HOST_THREADS", "1"}});
  const std::string two_threads = simulate({{"NPU_HOST_THREADS", "2"}});
  const std::string one_device = simulate({{"NPU_HOST_THREADS", "3"}, {"NPU_DEVICE_COUNT", "1"}});
  const std::string other_machine = simulate({{"NPU_ARCH", "n1-edge"}});
  EXPECT_EQ(once.substr(0, 7), "time 0x") << once;
  EXPECT_EQ(twice, once);
  EXPECT_EQ(two_threads, once);
  EXPECT_EQ(one_device, once);
  EXPECT_NE(other_machine, once);
}

TEST(TimeDeathTest, CanBeSwitchedOff) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_IN_PROCESS((Environment{{"NPU_TIMING", "off"}}), {
    Module module(kScale);
    Memory memory(8);
    upload(memory.get(), std::vector<double>{4});
    EXPECT_OK(
        launch(module.kernel("scale"), 1, {arg(memory), arg(10.0), arg(2.0)}, default_stream()));
    EXPECT_EQ(download<double>(memory.get(), 1)[0], 42);
    npuCounters counters;
    EXPECT_OK(npuGetCounters(0, &counters));
    EXPECT_EQ(counters.vector_instructions, 2u);
  });
}

}  // namespace
}  // namespace npu::conformance

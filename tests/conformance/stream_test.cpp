// Streams and events: order, completion and lifetime.
#include <atomic>
#include <thread>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

using StreamTest = DeviceTest;

// Holds the device's worker until it is let go.
class Gate {
 public:
  explicit Gate(npuStream stream) {
    EXPECT_OK(npuStreamAddCallback(
        stream,
        [](void* self) {
          while (!static_cast<Gate*>(self)->open_.load()) std::this_thread::yield();
        },
        this));
  }
  void open() { open_.store(true); }

 private:
  std::atomic<bool> open_{false};
};

TEST_F(StreamTest, WorkRunsInOrderWhileTheHostRunsAhead) {
  Module module(kScale);
  const npuKernel scale = module.kernel("scale");
  Memory memory(sizeof(double));
  upload(memory.get(), std::vector<double>{1});
  Gate gate(stream);
  double expected = 1;
  for (int i = 0; i < 500; ++i) {
    const double factor = i % 7 == 0 ? 0.5 : 1.01;
    ASSERT_OK(launch(scale, 1, {arg(memory), arg(factor), arg(double(i % 3))}, stream));
    expected = expected * factor + i % 3;
  }
  EXPECT_EQ(npuStreamQuery(stream), NPU_ERROR_NOT_READY);  // enqueueing did not wait
  gate.open();
  EXPECT_EQ(download<double>(memory.get(), 1)[0], expected);
  EXPECT_OK(npuStreamQuery(stream));
}

TEST_F(StreamTest, MoreCommandsThanAnyQueueHolds) {
  Module module(kScale);
  Memory memory(sizeof(double));
  upload(memory.get(), std::vector<double>{0});
  for (int i = 0; i < 10000; ++i) {
    ASSERT_OK(launch(module.kernel("scale"), 1, {arg(memory), arg(1.0), arg(1.0)}, stream));
  }
  EXPECT_EQ(download<double>(memory.get(), 1)[0], 10000);
}

TEST_F(StreamTest, ManyThreadsMayEnqueue) {
  Module module(kScale);
  const npuKernel scale = module.kernel("scale");
  Memory memory(4 * sizeof(double));
  upload(memory.get(), std::vector<double>(4, 0));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Stream mine;
      for (int i = 0; i < 500; ++i) {
        EXPECT_OK(launch(scale, 1, {arg(memory.at(8 * t)), arg(1.0), arg(1.0)}, mine));
      }
      EXPECT_OK(npuStreamSynchronize(mine));
      EXPECT_EQ(download<double>(memory.at(8 * t), 1, mine)[0], 500);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(StreamTest, CallbacksRunInTurn) {
  std::vector<int> order;
  struct Entry {
    std::vector<int>* order;
    int number;
  };
  std::vector<Entry> entries;
  for (int i = 0; i < 10; ++i) entries.push_back({&order, i});
  for (Entry& entry : entries) {
    ASSERT_OK(npuStreamAddCallback(
        stream,
        [](void* user) {
          auto* entry = static_cast<Entry*>(user);
          entry->order->push_back(entry->number);
        },
        &entry));
  }
  ASSERT_OK(npuStreamSynchronize(stream));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(npuStreamAddCallback(stream, nullptr, nullptr), NPU_ERROR_INVALID_VALUE);
}

TEST_F(StreamTest, BelongToTheirDevice) {
  Stream other(1);
  int device = -1;
  ASSERT_OK(npuStreamGetDevice(other, &device));
  EXPECT_EQ(device, 1);
  EXPECT_EQ(default_stream(), default_stream());
  EXPECT_NE(default_stream(0), default_stream(1));
  EXPECT_EQ(npuStreamGetDevice(other, nullptr), NPU_ERROR_INVALID_VALUE);
}

TEST_F(StreamTest, NoStreamIsNotAStream) {
  npuStream destroyed = nullptr;
  ASSERT_OK(npuStreamCreate(0, &destroyed));
  ASSERT_OK(npuStreamDestroy(destroyed));
  Event event;
  int device = 0;
  char byte = 0;
  for (npuStream bad : {npuStream{nullptr}, destroyed}) {
    EXPECT_FAILURE(npuStreamSynchronize(bad), NPU_ERROR_INVALID_HANDLE, "stream");
    EXPECT_EQ(npuStreamQuery(bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuStreamDestroy(bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuStreamGetDevice(bad, &device), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuStreamWaitEvent(bad, event), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuEventRecord(event, bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuMemcpyAsync(&byte, &byte, 1, NPU_HOST_TO_DEVICE, bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuMemsetAsync(&byte, 0, 1, bad), NPU_ERROR_INVALID_HANDLE);
  }
  EXPECT_EQ(npuStreamDestroy(stream), NPU_ERROR_INVALID_VALUE);  // a device keeps its default one
}

TEST_F(StreamTest, EventsMarkCompletion) {
  Event event;
  EXPECT_OK(npuEventQuery(event));
  EXPECT_OK(npuEventSynchronize(event));
  EXPECT_OK(npuStreamWaitEvent(stream, event));  // never recorded: nothing to wait for
  Gate gate(stream);
  ASSERT_OK(npuEventRecord(event, stream));
  EXPECT_EQ(npuEventQuery(event), NPU_ERROR_NOT_READY);
  gate.open();
  EXPECT_OK(npuEventSynchronize(event));
  EXPECT_OK(npuEventQuery(event));
}

TEST_F(StreamTest, NoEventIsNotAnEvent) {
  npuEvent destroyed = nullptr;
  ASSERT_OK(npuEventCreate(&destroyed));
  ASSERT_OK(npuEventDestroy(destroyed));
  Event event;
  double time = 0;
  for (npuEvent bad : {npuEvent{nullptr}, destroyed}) {
    EXPECT_FAILURE(npuEventRecord(bad, stream), NPU_ERROR_INVALID_HANDLE, "event");
    EXPECT_EQ(npuEventQuery(bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuEventSynchronize(bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuEventDestroy(bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuStreamWaitEvent(stream, bad), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuEventElapsedTime(bad, event, &time), NPU_ERROR_INVALID_HANDLE);
  }
}

TEST_F(StreamTest, WaitsOrderDevices) {
  ASSERT_OK(npuDeviceReset(1));
  Module module(kScale);
  const npuKernel scale = module.kernel("scale");
  Memory source(sizeof(double), 0);
  Memory target(sizeof(double), 1);
  upload(source.get(), std::vector<double>{1});
  upload(target.get(), std::vector<double>{0}, default_stream(1));
  Event produced;
  Gate gate(stream);
  ASSERT_OK(launch(scale, 1, {arg(source), arg(2.0), arg(40.0)}, stream));
  ASSERT_OK(npuEventRecord(produced, stream));
  ASSERT_OK(npuStreamWaitEvent(default_stream(1), produced));
  ASSERT_OK(npuMemcpyAsync(target.get(), source.get(), sizeof(double), NPU_DEVICE_TO_DEVICE,
                           default_stream(1)));
  EXPECT_EQ(npuStreamQuery(default_stream(1)), NPU_ERROR_NOT_READY);
  gate.open();
  EXPECT_EQ(download<double>(target.get(), 1, default_stream(1))[0], 42);
}

TEST_F(StreamTest, AWaitMeansTheRecordBeforeIt) {
  ASSERT_OK(npuDeviceReset(1));
  Event event;
  ASSERT_OK(npuEventRecord(event, stream));
  ASSERT_OK(npuStreamSynchronize(stream));
  ASSERT_OK(npuStreamWaitEvent(default_stream(1), event));
  Gate gate(stream);
  ASSERT_OK(npuEventRecord(event, stream));  // again, behind the gate
  EXPECT_OK(npuStreamSynchronize(default_stream(1)));
  gate.open();
  EXPECT_OK(npuEventSynchronize(event));
}

TEST_F(StreamTest, EventsMayDieBeforeTheirWaits) {
  Gate gate(stream);
  {
    Event event;
    ASSERT_OK(npuEventRecord(event, stream));
    ASSERT_OK(npuStreamWaitEvent(default_stream(1), event));
  }
  gate.open();
  EXPECT_OK(npuDeviceSynchronize(1));
  EXPECT_OK(npuDeviceSynchronize(0));
}

class StreamDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(StreamDeathTest, BlockingLaunchesFailAtTheCall) {
  EXPECT_IN_PROCESS((Environment{{"NPU_LAUNCH_BLOCKING", "1"}}), {
    Module module(kPoke);
    Memory memory(64);
    npuStream stream = default_stream();
    EXPECT_OK(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{15})}, stream));
    EXPECT_FAILURE(launch(module.kernel("poke"), 1, {arg(memory), arg(int64_t{16})}, stream),
                   NPU_ERROR_OUT_OF_BOUNDS, "poke");
  });
}

}  // namespace
}  // namespace npu::conformance

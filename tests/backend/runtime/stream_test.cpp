#include "csrc/backend/runtime/stream.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "csrc/backend/runtime/device.h"

namespace npu::backend {
namespace {

TEST(StreamTest, DefaultStreamIsTheSdks) {
  npuStream native = nullptr;
  ASSERT_EQ(npuDeviceGetDefaultStream(1, &native), NPU_SUCCESS);
  EXPECT_EQ(current_stream(1), native);
  EXPECT_EQ(native_stream(default_torch_stream(1)), native);
}

TEST(StreamTest, PoolHandsStreamsOutInTurn) {
  std::set<npuStream> natives;
  for (int i = 0; i < kPoolStreams; ++i) natives.insert(native_stream(pool_torch_stream(0)));
  EXPECT_EQ(natives.size(), static_cast<size_t>(kPoolStreams));
  EXPECT_TRUE(natives.contains(native_stream(pool_torch_stream(0))));
}

TEST(StreamTest, GuardsChangeTheThreadsOwnStream) {
  const c10::Stream side = pool_torch_stream(0);
  {
    const c10::StreamGuard guard(side);
    EXPECT_EQ(current_stream(0), native_stream(side));
    std::thread([&] { EXPECT_EQ(current_torch_stream(0).id(), 0); }).join();
  }
  EXPECT_EQ(current_torch_stream(0).id(), 0);
}

TEST(StreamTest, DeviceGuardChoosesTheDevice) {
  const c10::DeviceGuard guard(c10::Device(c10::kPrivateUse1, 1));
  EXPECT_EQ(current_device(), 1);
  EXPECT_EQ(current_torch_stream().device_index(), 1);
}

TEST(StreamTest, EventsOrderAndTime) {
  c10::Event start(c10::kPrivateUse1, c10::EventFlag::BACKEND_DEFAULT);
  c10::Event end(c10::kPrivateUse1, c10::EventFlag::BACKEND_DEFAULT);
  EXPECT_TRUE(start.query());
  const c10::Stream side = pool_torch_stream(0);
  start.record(default_torch_stream(0));
  start.block(side);
  end.record(side);
  end.synchronize();
  EXPECT_GE(start.elapsedTime(end), 0);
}

TEST(StreamTest, RefusesWhatIsNoStream) {
  const c10::Stream unknown(c10::Stream::UNSAFE, {c10::kPrivateUse1, 0}, 1 + kPoolStreams);
  EXPECT_THROW(native_stream(unknown), c10::Error);
  EXPECT_THROW(native_stream(c10::Stream(c10::Stream::DEFAULT, c10::kCPU)), c10::Error);
  EXPECT_THROW(set_current_device(99), c10::Error);
}

}  // namespace
}  // namespace npu::backend

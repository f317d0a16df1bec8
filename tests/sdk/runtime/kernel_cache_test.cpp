#include "csrc/sdk/runtime/kernel_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "csrc/sdk/runtime/status.h"
#include "sim/isa/text.h"

namespace npu::sdk {
namespace {

class KernelCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(npuDeviceReset(0), NPU_SUCCESS);
    ASSERT_EQ(npuDeviceGetDefaultStream(0, &stream), NPU_SUCCESS);
  }
  npuStream stream = nullptr;
};

sim::Program named(const std::string& name) {
  return sim::assemble(".kernel " + name + "\nexit\n");
}

size_t free_memory() {
  size_t bytes = 0;
  EXPECT_EQ(npuMemGetInfo(0, &bytes, nullptr), NPU_SUCCESS);
  return bytes;
}

std::string device_name() {
  npuDeviceProperties properties;
  EXPECT_EQ(npuGetDeviceProperties(0, &properties), NPU_SUCCESS);
  return properties.name;
}

TEST_F(KernelCacheTest, BuildsEachVariantOnce) {
  int built = 0;
  const auto build = [&](const sim::Machine& machine) {
    EXPECT_EQ(machine.name, device_name());
    ++built;
    return named("once");
  };
  npuKernel first = nullptr;
  npuKernel again = nullptr;
  npuKernel other = nullptr;
  npuKernel family = nullptr;
  ASSERT_EQ(cached_kernel(stream, {"test.once", {1, 2}}, build, &first), NPU_SUCCESS);
  ASSERT_EQ(cached_kernel(stream, {"test.once", {1, 2}}, build, &again), NPU_SUCCESS);
  ASSERT_EQ(cached_kernel(stream, {"test.once", {2, 1}}, build, &other), NPU_SUCCESS);
  ASSERT_EQ(cached_kernel(stream, {"test.twice", {1, 2}}, build, &family), NPU_SUCCESS);
  EXPECT_EQ(built, 3);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
  EXPECT_NE(first, family);
  EXPECT_EQ(npuLaunchKernel(first, 1, nullptr, 0, stream), NPU_SUCCESS);
  EXPECT_EQ(npuStreamSynchronize(stream), NPU_SUCCESS);
}

TEST_F(KernelCacheTest, ManyKeysStayApart) {
  std::vector<npuKernel> kernels(10000);
  for (size_t i = 0; i < kernels.size(); ++i) {
    ASSERT_EQ(cached_kernel(
                  stream, {"test.many", {0, static_cast<int64_t>(i)}},
                  [&](const sim::Machine&) { return named("k" + std::to_string(i)); }, &kernels[i]),
              NPU_SUCCESS);
  }
  for (size_t i = 0; i < kernels.size(); ++i) {
    npuKernel found = nullptr;
    ASSERT_EQ(cached_kernel(
                  stream, {"test.many", {0, static_cast<int64_t>(i)}},
                  [&](const sim::Machine&) -> sim::Program { throw std::runtime_error("again"); },
                  &found),
              NPU_SUCCESS);
    ASSERT_EQ(found, kernels[i]);
  }
}

TEST_F(KernelCacheTest, ThreadsGetTheSameKernel) {
  std::atomic<int> built{0};
  std::vector<npuKernel> kernels(4);
  std::vector<std::thread> threads;
  for (npuKernel& kernel : kernels) {
    threads.emplace_back([&] {
      EXPECT_EQ(cached_kernel(
                    stream, {"test.threads"},
                    [&](const sim::Machine&) {
                      ++built;
                      return named("shared");
                    },
                    &kernel),
                NPU_SUCCESS);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(built, 1);
  for (npuKernel kernel : kernels) EXPECT_EQ(kernel, kernels[0]);
}

TEST_F(KernelCacheTest, FailedBuildsAreReportedAndTriedAgain) {
  const auto fails = [](const sim::Machine&) -> sim::Program { return sim::assemble("nonsense"); };
  npuKernel kernel = nullptr;
  EXPECT_EQ(cached_kernel(stream, {"test.fails"}, fails, &kernel), NPU_ERROR_ASSEMBLY);
  EXPECT_EQ(kernel, nullptr);
  EXPECT_EQ(
      cached_kernel(
          stream, {"test.fails"}, [](const sim::Machine&) { return named("works"); }, &kernel),
      NPU_SUCCESS);
}

TEST_F(KernelCacheTest, StreamsAreChecked) {
  npuKernel kernel = nullptr;
  EXPECT_EQ(machine_of(nullptr), nullptr);
  EXPECT_EQ(machine_of(stream)->name, device_name());
  EXPECT_EQ(cached_kernel(
                nullptr, {"test.stream"}, [](const sim::Machine&) { return named("k"); }, &kernel),
            NPU_ERROR_INVALID_HANDLE);
  void* pointer = nullptr;
  EXPECT_EQ(workspace_alloc(nullptr, 10, &pointer), NPU_ERROR_INVALID_HANDLE);
}

using WorkspaceTest = KernelCacheTest;

TEST_F(WorkspaceTest, IsHandedOutAgain) {
  void* first = nullptr;
  ASSERT_EQ(workspace_alloc(stream, 5000, &first), NPU_SUCCESS);
  npuPointerAttributes attributes;
  ASSERT_EQ(npuPointerGetAttributes(first, &attributes), NPU_SUCCESS);
  EXPECT_EQ(attributes.base, first);
  EXPECT_GE(attributes.size, 5000u);
  ASSERT_EQ(workspace_free(stream, first), NPU_SUCCESS);
  void* second = nullptr;
  ASSERT_EQ(workspace_alloc(stream, 4097, &second), NPU_SUCCESS);
  EXPECT_EQ(second, first);
  void* third = nullptr;
  ASSERT_EQ(workspace_alloc(stream, 4097, &third), NPU_SUCCESS);
  EXPECT_NE(third, second);
  EXPECT_EQ(workspace_free(stream, second), NPU_SUCCESS);
  EXPECT_EQ(workspace_free(stream, third), NPU_SUCCESS);
  EXPECT_EQ(workspace_free(stream, nullptr), NPU_SUCCESS);
}

TEST_F(WorkspaceTest, SmallRequestsDoNotHoldLargeBlocks) {
  void* large = nullptr;
  void* small = nullptr;
  ASSERT_EQ(workspace_alloc(stream, 64 << 20, &large), NPU_SUCCESS);
  ASSERT_EQ(workspace_free(stream, large), NPU_SUCCESS);
  ASSERT_EQ(workspace_alloc(stream, 100, &small), NPU_SUCCESS);
  EXPECT_NE(small, large);
  ASSERT_EQ(workspace_free(stream, small), NPU_SUCCESS);
}

TEST_F(WorkspaceTest, IdleOnesGiveWay) {
  const size_t all = free_memory();
  void* workspace = nullptr;
  const size_t most = all / 2 >> 20 << 20;
  ASSERT_EQ(workspace_alloc(stream, most, &workspace), NPU_SUCCESS);
  EXPECT_EQ(free_memory(), all - most);
  ASSERT_EQ(workspace_free(stream, workspace), NPU_SUCCESS);
  EXPECT_EQ(free_memory(), all);
  void* pointer = nullptr;
  ASSERT_EQ(npuMalloc(0, all, &pointer), NPU_SUCCESS);
  EXPECT_EQ(workspace_alloc(stream, 100, &workspace), NPU_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(workspace, nullptr);
  ASSERT_EQ(npuFree(pointer), NPU_SUCCESS);
}

TEST_F(WorkspaceTest, AResetForgetsThem) {
  void* used = nullptr;
  void* idle = nullptr;
  ASSERT_EQ(workspace_alloc(stream, 3000, &used), NPU_SUCCESS);
  ASSERT_EQ(workspace_alloc(stream, 3000, &idle), NPU_SUCCESS);
  ASSERT_EQ(workspace_free(stream, idle), NPU_SUCCESS);
  ASSERT_EQ(npuDeviceReset(0), NPU_SUCCESS);
  EXPECT_EQ(workspace_free(stream, used), NPU_SUCCESS);
  void* fresh = nullptr;
  ASSERT_EQ(workspace_alloc(stream, 3000, &fresh), NPU_SUCCESS);
  EXPECT_NE(fresh, idle);
  EXPECT_EQ(npuMemsetAsync(fresh, 0, 3000, stream), NPU_SUCCESS);
  EXPECT_EQ(workspace_free(stream, fresh), NPU_SUCCESS);
}

}  // namespace
}  // namespace npu::sdk

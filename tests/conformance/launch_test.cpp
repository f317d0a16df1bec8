// Modules, kernels and launches.
#include <numeric>

#include "tests/conformance/support.h"

extern "C" int vector_add_main(void);

namespace npu::conformance {
namespace {

using LaunchTest = DeviceTest;

TEST_F(LaunchTest, VectorAdd) {
  constexpr size_t kCount = 100001;
  Module module(kVectorAdd);
  Memory a(kCount * 4);
  Memory b(kCount * 4);
  Memory c(kCount * 4);
  std::vector<float> x(kCount);
  std::iota(x.begin(), x.end(), 1.0f);
  upload(a.get(), x);
  upload(b.get(), std::vector<float>(kCount, 0.25f));
  ASSERT_OK(launch(module.kernel("vector_add"), (kCount + 255) / 256,
                   {arg(a), arg(b), arg(c), arg(int64_t{kCount})}, stream));
  const auto sum = download<float>(c.get(), kCount);
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(sum[i], x[i] + 0.25f) << i;

  npuCounters counters;
  ASSERT_OK(npuGetCounters(0, &counters));
  EXPECT_EQ(counters.launches, 1u);
  EXPECT_EQ(counters.vector_instructions, 391u);
  EXPECT_EQ(counters.dma_instructions, 3u * 391u);
  EXPECT_EQ(counters.matrix_instructions, 0u);
  EXPECT_EQ(counters.dma_read_bytes, 2 * kCount * 4);
  EXPECT_EQ(counters.dma_write_bytes, kCount * 4);
  EXPECT_EQ(counters.host_to_device_bytes, 2 * kCount * 4);
  EXPECT_EQ(counters.device_to_host_bytes, kCount * 4);
  ASSERT_OK(npuResetCounters(0));
  ASSERT_OK(npuGetCounters(0, &counters));
  EXPECT_EQ(counters.launches + counters.dma_read_bytes + counters.host_to_device_bytes, 0u);
}

TEST_F(LaunchTest, MatrixWorkIsCounted) {
  Module module(R"(
.kernel product
.arg a ptr
.arg c ptr
.tile x f32 1024
.tile z f32 1024
d.load x, a[0], (32 | 32) : (32 | 1)
m.mma.zero z, x, x
d.store c[0], z, (32 | 32) : (32 | 1)
)");
  Memory a(4096);
  Memory c(4096);
  std::vector<float> identity(1024, 0);
  for (size_t i = 0; i < 32; ++i) identity[33 * i] = 3;
  upload(a.get(), identity);
  ASSERT_OK(launch(module.kernel("product"), 1, {arg(a), arg(c)}, stream));
  EXPECT_EQ(download<float>(c.get(), 34)[33], 9);
  npuCounters counters;
  ASSERT_OK(npuGetCounters(0, &counters));
  EXPECT_EQ(counters.matrix_instructions, 1u);
  EXPECT_EQ(counters.macs, 32u * 32 * 32);
}

TEST_F(LaunchTest, PointersMayPointInside) {
  Module module(kPoke);
  Memory memory(400);
  ASSERT_OK(npuMemsetAsync(memory.get(), 0, 400, stream));
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(memory.at(200)), arg(int64_t{-50})}, stream));
  ASSERT_OK(launch(module.kernel("poke"), 1, {arg(memory.at(200)), arg(int64_t{49})}, stream));
  const auto content = download<float>(memory.get(), 100);
  EXPECT_EQ(content[0], 1);
  EXPECT_EQ(content[99], 1);
  EXPECT_EQ(std::accumulate(content.begin(), content.end(), 0.0f), 2);
}

TEST_F(LaunchTest, UnusedPointersMayBeNull) {
  Module module(kBusy + std::string(R"(
.kernel maybe
.arg x ptr
.arg wanted i64
.tile t f32 1
if wanted
d.load t, x[0], (1) : (1)
endif
)"));
  EXPECT_OK(launch(module.kernel("maybe"), 1, {arg(nullptr), arg(int64_t{0})}, stream));
  EXPECT_OK(npuStreamSynchronize(stream));
  EXPECT_OK(launch(module.kernel("maybe"), 1, {arg(nullptr), arg(int64_t{1})}, stream));
  EXPECT_FAILURE(npuStreamSynchronize(stream), NPU_ERROR_OUT_OF_BOUNDS, "maybe", "'x'");
}

TEST_F(LaunchTest, ModulesHoldManyKernels) {
  Module module(std::string("; a comment above\n") + kVectorAdd + kScale + kPoke);
  int count = 0;
  ASSERT_OK(npuKernelGetArgCount(module.kernel("vector_add"), &count));
  EXPECT_EQ(count, 4);
  ASSERT_OK(npuKernelGetArgCount(module.kernel("scale"), &count));
  EXPECT_EQ(count, 3);
  ASSERT_OK(npuKernelGetArgCount(module.kernel("poke"), &count));
  EXPECT_EQ(count, 2);
  npuKernel kernel = nullptr;
  EXPECT_FAILURE(npuModuleGetKernel(module, "none", &kernel), NPU_ERROR_NOT_FOUND, "'none'",
                 "'vector_add', 'scale', 'poke'");
}

TEST_F(LaunchTest, TextRoundTrips) {
  Module module(kScale);
  size_t length = 0;
  ASSERT_OK(npuKernelGetText(module.kernel("scale"), nullptr, 0, &length));
  std::string text(length + 1, '#');
  ASSERT_OK(npuKernelGetText(module.kernel("scale"), text.data(), text.size(), &length));
  EXPECT_EQ(text.back(), '\0');
  text.pop_back();
  Module again(text);
  std::string second(length + 1, '#');
  size_t second_length = 0;
  ASSERT_OK(npuKernelGetText(again.kernel("scale"), second.data(), second.size(), &second_length));
  second.pop_back();
  EXPECT_EQ(text, second);
  char few[5] = {'#', '#', '#', '#', '#'};
  ASSERT_OK(npuKernelGetText(again.kernel("scale"), few, 4, &length));
  EXPECT_EQ(length, second_length);
  EXPECT_EQ(std::string(few, 5), text.substr(0, 3) + std::string("\0#", 2));
}

TEST_F(LaunchTest, AssemblyErrorsNameTheLine) {
  npuModule module = nullptr;
  EXPECT_FAILURE(npuModuleLoadText(".kernel k\n.arg x ptr\nv.frob t, u\n", &module),
                 NPU_ERROR_ASSEMBLY, "line 3", "v.frob");
  // Lines count from the start of the module, whichever kernel is wrong.
  EXPECT_FAILURE(npuModuleLoadText(".kernel a\nexit\n\n.kernel b\nexit\nbogus r1\n", &module),
                 NPU_ERROR_ASSEMBLY, "line 6", "'b'");
  EXPECT_FAILURE(npuModuleLoadText(".kernel a\nexit\n.kernel a\nexit\n", &module),
                 NPU_ERROR_ASSEMBLY, "two kernels 'a'");
  EXPECT_FAILURE(npuModuleLoadText("", &module), NPU_ERROR_ASSEMBLY, ".kernel");
  EXPECT_EQ(npuModuleLoadText(nullptr, &module), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(module, nullptr);
}

TEST_F(LaunchTest, ArgumentsAreCheckedBeforeTheCallReturns) {
  Module module(std::string(kScale) + kBusy);
  const npuKernel scale = module.kernel("scale");
  Memory memory(64);
  Memory peer(64, 1);
  int host = 0;
  const auto refused = [&](const std::vector<npuArg>& args, const std::vector<std::string>& texts) {
    EXPECT_FAILURE(launch(scale, 1, args, stream), NPU_ERROR_INVALID_VALUE, texts);
  };
  refused({arg(memory), arg(1.0)}, {"'scale'", "takes 3", "got 2"});
  refused({arg(memory), arg(int64_t{1}), arg(1.0)}, {"'factor'", "want real", "got integer"});
  refused({arg(1.0), arg(1.0), arg(1.0)}, {"'x'", "want pointer", "got real"});
  refused({arg(&host), arg(1.0), arg(1.0)}, {"'x'", "not an address of device 0"});
  refused({arg(peer), arg(1.0), arg(1.0)}, {"'x'", "address of device 1"});
  refused({arg(memory.at(64)), arg(1.0), arg(1.0)}, {"'x'", "nearest allocation", "64 bytes"});
  for (int64_t grid : {int64_t{0}, int64_t{-3}}) {
    EXPECT_FAILURE(launch(scale, grid, {arg(memory), arg(1.0), arg(1.0)}, stream),
                   NPU_ERROR_INVALID_VALUE, "grid", std::to_string(grid));
  }
  EXPECT_EQ(npuLaunchKernel(scale, 1, nullptr, 3, stream), NPU_ERROR_INVALID_VALUE);
  EXPECT_OK(npuLaunchKernel(module.kernel("busy"), 1, std::vector<npuArg>{arg(int64_t{1})}.data(),
                            1, stream));
  EXPECT_OK(npuDeviceSynchronize(0));  // none of this is sticky
  npuCounters counters;
  ASSERT_OK(npuGetCounters(0, &counters));
  EXPECT_EQ(counters.launches, 1u);
}

TEST_F(LaunchTest, ProgramsThatDoNotFitAreRefused) {
  Module module(R"(
.kernel large
.tile t f32 2000000
v.fill t, 1.0, (1, 1)
)");
  EXPECT_FAILURE(launch(module.kernel("large"), 1, {}, stream), NPU_ERROR_ILLEGAL_PROGRAM, "large",
                 "scratchpad");
  EXPECT_OK(npuDeviceGetStatus(0));
}

TEST_F(LaunchTest, HandlesAreChecked) {
  npuModule module = nullptr;
  ASSERT_OK(npuModuleLoadText(kBusy, &module));
  npuKernel kernel = nullptr;
  ASSERT_OK(npuModuleGetKernel(module, "busy", &kernel));
  EXPECT_EQ(npuModuleGetKernel(module, nullptr, &kernel), NPU_ERROR_INVALID_VALUE);
  ASSERT_OK(npuModuleUnload(module));
  int count = 0;
  size_t length = 0;
  for (npuKernel bad : {npuKernel{nullptr}, kernel}) {
    EXPECT_FAILURE(launch(bad, 1, {arg(int64_t{1})}, stream), NPU_ERROR_INVALID_HANDLE, "kernel");
    EXPECT_EQ(npuKernelGetArgCount(bad, &count), NPU_ERROR_INVALID_HANDLE);
    EXPECT_EQ(npuKernelGetText(bad, nullptr, 0, &length), NPU_ERROR_INVALID_HANDLE);
  }
  EXPECT_FAILURE(npuModuleUnload(module), NPU_ERROR_INVALID_HANDLE, "module");
  EXPECT_EQ(npuModuleUnload(nullptr), NPU_ERROR_INVALID_HANDLE);
}

TEST_F(LaunchTest, UnloadingWaitsForItsLaunches) {
  Memory memory(8);
  upload(memory.get(), std::vector<double>{0});
  {
    Module module(kScale);
    for (int i = 0; i < 200; ++i) {
      ASSERT_OK(launch(module.kernel("scale"), 1, {arg(memory), arg(1.0), arg(1.0)}, stream));
    }
  }
  EXPECT_EQ(download<double>(memory.get(), 1)[0], 200);
}

TEST(Sample, OfTheDocumentationRuns) { EXPECT_EQ(vector_add_main(), EXIT_SUCCESS); }

}  // namespace
}  // namespace npu::conformance

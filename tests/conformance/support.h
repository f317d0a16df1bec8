// What the conformance suites share. They know npu.h and nothing of an implementation.
#pragma once

#include <gtest/gtest.h>
#include <npu/npu.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace npu::conformance {

inline ::testing::AssertionResult succeeded(npuStatus status) {
  if (status == NPU_SUCCESS) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << npuGetStatusName(status) << ": " << npuGetLastErrorString();
}
#define ASSERT_OK(call) ASSERT_TRUE(::npu::conformance::succeeded(call))
#define EXPECT_OK(call) EXPECT_TRUE(::npu::conformance::succeeded(call))

// The call fails with this status and its message holds each of the texts.
inline void expect_failure(npuStatus got, npuStatus want, const std::vector<std::string>& texts) {
  EXPECT_STREQ(npuGetStatusName(got), npuGetStatusName(want)) << npuGetLastErrorString();
  for (const std::string& text : texts) {
    EXPECT_NE(std::string(npuGetLastErrorString()).find(text), std::string::npos)
        << "'" << text << "' is not in: " << npuGetLastErrorString();
  }
}
#define EXPECT_FAILURE(call, status, ...)                                                        \
  do {                                                                                           \
    SCOPED_TRACE(#call);                                                                         \
    ::npu::conformance::expect_failure((call), (status), std::vector<std::string>{__VA_ARGS__}); \
  } while (0)

// Device memory that ends with its scope.
class Memory {
 public:
  explicit Memory(size_t bytes, int device = 0) {
    EXPECT_TRUE(succeeded(npuMalloc(device, bytes, &pointer_)));
  }
  ~Memory() { EXPECT_TRUE(succeeded(npuFree(pointer_))); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void* get() const { return pointer_; }
  // For memory that a reset of the device has ended: where to put its successor.
  void*& reset() { return pointer_ = nullptr; }
  std::byte* at(size_t offset) const { return static_cast<std::byte*>(pointer_) + offset; }

 private:
  void* pointer_ = nullptr;
};

class Stream {
 public:
  explicit Stream(int device = 0) { EXPECT_TRUE(succeeded(npuStreamCreate(device, &stream_))); }
  ~Stream() { EXPECT_TRUE(succeeded(npuStreamDestroy(stream_))); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator npuStream() const { return stream_; }

 private:
  npuStream stream_ = nullptr;
};

class Event {
 public:
  Event() { EXPECT_TRUE(succeeded(npuEventCreate(&event_))); }
  ~Event() { EXPECT_TRUE(succeeded(npuEventDestroy(event_))); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator npuEvent() const { return event_; }

 private:
  npuEvent event_ = nullptr;
};

class Module {
 public:
  explicit Module(const std::string& text) {
    EXPECT_TRUE(succeeded(npuModuleLoadText(text.c_str(), &module_)));
  }
  ~Module() { EXPECT_TRUE(succeeded(npuModuleUnload(module_))); }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  operator npuModule() const { return module_; }
  npuKernel kernel(const char* name) const {
    npuKernel kernel = nullptr;
    EXPECT_TRUE(succeeded(npuModuleGetKernel(module_, name, &kernel)));
    return kernel;
  }

 private:
  npuModule module_ = nullptr;
};

inline npuArg arg(void* pointer) { return {NPU_ARG_POINTER, {.pointer = pointer}}; }
inline npuArg arg(const Memory& memory) { return arg(memory.get()); }
inline npuArg arg(int64_t integer) { return {NPU_ARG_INTEGER, {.integer = integer}}; }
inline npuArg arg(double real) { return {NPU_ARG_REAL, {.real = real}}; }

inline npuStatus launch(npuKernel kernel, int64_t grid, const std::vector<npuArg>& args,
                        npuStream stream) {
  return npuLaunchKernel(kernel, grid, args.data(), static_cast<int>(args.size()), stream);
}

inline npuStream default_stream(int device = 0) {
  npuStream stream = nullptr;
  EXPECT_TRUE(succeeded(npuDeviceGetDefaultStream(device, &stream)));
  return stream;
}

template <class T>
void upload(void* dst, const std::vector<T>& src, npuStream stream = default_stream()) {
  ASSERT_OK(npuMemcpyAsync(dst, src.data(), src.size() * sizeof(T), NPU_HOST_TO_DEVICE, stream));
}

template <class T>
std::vector<T> download(const void* src, size_t count, npuStream stream = default_stream()) {
  std::vector<T> dst(count);
  EXPECT_OK(npuMemcpyAsync(dst.data(), src, count * sizeof(T), NPU_DEVICE_TO_HOST, stream));
  return dst;
}

// c[i] = a[i] + b[i], 256 elements a program.
inline constexpr char kVectorAdd[] = R"(
.kernel vector_add
.arg a ptr
.arg b ptr
.arg c ptr
.arg n i64
.tile x f32 256 x2
.tile y f32 256 x2
.tile z f32 256 x2
s.mul r0, %pid, 256
s.sub r1, n, r0
s.min r1, r1, 256
d.load x, a[r0], (r1) : (1)
d.load y, b[r0], (r1) : (1)
v.add z, x, y
d.store c[r0], z, (r1) : (1)
)";

// x[0] = x[0] * factor + shift; many of them in turn show any change of their order.
inline constexpr char kScale[] = R"(
.kernel scale
.arg x ptr
.arg factor f64
.arg shift f64
.tile t f64 1
.tile u f64 1
d.load t, x[0], (1) : (1)
v.mul u, t, factor
v.add t, u, shift
d.store x[0], t, (1) : (1)
)";

// Counts to n without doing anything else.
inline constexpr char kBusy[] = R"(
.kernel busy
.arg n i64
loop r0, n
endloop
)";

// Stores one element at `offset`.
inline constexpr char kPoke[] = R"(
.kernel poke
.arg x ptr
.arg offset i64
.tile t f32 1
v.fill t, 1.0, (1, 1)
d.store x[offset], t, (1) : (1)
)";

// Runs `body` in a process of its own that has not used the API yet, with these variables set, and
// expects it to exit with 0. Failed expectations inside count.
#define EXPECT_IN_PROCESS(environment, ...)                                     \
  EXPECT_EXIT(                                                                  \
      {                                                                         \
        ::npu::conformance::set_environment(environment);                       \
        __VA_ARGS__;                                                            \
        std::exit(::testing::Test::HasFailure() ? EXIT_FAILURE : EXIT_SUCCESS); \
      },                                                                        \
      ::testing::ExitedWithCode(EXIT_SUCCESS), "")

using Environment = std::vector<std::pair<const char*, const char*>>;
inline void set_environment(const Environment& environment) {
  for (const auto& [name, value] : environment) setenv(name, value, 1);
}

// A device that every test finds usable and without counts.
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(npuDeviceReset(0));
    stream = default_stream();
  }
  npuStream stream = nullptr;
};

}  // namespace npu::conformance

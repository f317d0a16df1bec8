// Copies and fills.
#include <cstdlib>
#include <numeric>
#include <random>

#include "tests/conformance/support.h"

namespace npu::conformance {
namespace {

using CopyTest = DeviceTest;
using Bytes = std::vector<uint8_t>;

Bytes random_bytes(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

TEST_F(CopyTest, OddSizesAndOffsets) {
  constexpr size_t kSize = 300000;
  Memory a(kSize);
  Memory b(kSize);
  std::mt19937 random(2);
  Bytes expected_a(kSize, 0);
  Bytes expected_b(kSize, 0);
  ASSERT_OK(npuMemsetAsync(a.get(), 0, kSize, stream));
  ASSERT_OK(npuMemsetAsync(b.get(), 0, kSize, stream));
  for (int step = 0; step < 200; ++step) {
    const size_t largest = step % 10 == 0 ? 200000 : 3000;
    const size_t bytes = random() % largest;
    const size_t to = random() % (kSize - bytes);
    const size_t from = random() % (kSize - bytes);
    const auto begin = [](Bytes& bytes, size_t at) {
      return bytes.begin() + static_cast<long>(at);
    };
    switch (step % 3) {
      case 0: {
        const Bytes source = random_bytes(bytes, static_cast<unsigned>(step));
        upload(a.at(to), source, stream);
        std::copy(source.begin(), source.end(), begin(expected_a, to));
        break;
      }
      case 1:
        ASSERT_OK(npuMemcpyAsync(b.at(to), a.at(from), bytes, NPU_DEVICE_TO_DEVICE, stream));
        std::copy_n(begin(expected_a, from), bytes, begin(expected_b, to));
        break;
      default:
        ASSERT_OK(npuMemsetAsync(b.at(to), step, bytes, stream));
        std::fill_n(begin(expected_b, to), bytes, static_cast<uint8_t>(step));
    }
  }
  EXPECT_EQ(download<uint8_t>(a.get(), kSize), expected_a);
  EXPECT_EQ(download<uint8_t>(b.get(), kSize), expected_b);
  EXPECT_EQ(download<uint8_t>(b.at(12345), 777),
            Bytes(expected_b.begin() + 12345, expected_b.begin() + 12345 + 777));
}

TEST_F(CopyTest, PageableSourcesMayChangeAtOnce) {
  for (size_t bytes : {100, 1 << 20}) {
    Memory memory(bytes);
    Bytes source = random_bytes(bytes, 3);
    const Bytes original = source;
    upload(memory.get(), source, stream);
    std::fill(source.begin(), source.end(), 0);
    EXPECT_EQ(download<uint8_t>(memory.get(), bytes), original);
  }
}

TEST_F(CopyTest, PinnedMemoryCopiesInTurn) {
  constexpr size_t kSize = 100000;
  Memory memory(kSize);
  void* source = nullptr;
  void* target = nullptr;
  ASSERT_OK(npuHostAlloc(kSize, &source));
  ASSERT_OK(npuHostAlloc(kSize, &target));
  const Bytes expected = random_bytes(kSize, 4);
  std::memcpy(source, expected.data(), kSize);
  ASSERT_OK(npuMemcpyAsync(memory.get(), source, kSize, NPU_HOST_TO_DEVICE, stream));
  ASSERT_OK(npuMemcpyAsync(target, memory.get(), kSize, NPU_DEVICE_TO_HOST, stream));
  ASSERT_OK(npuStreamSynchronize(stream));
  EXPECT_EQ(std::memcmp(target, expected.data(), kSize), 0);
  ASSERT_OK(npuHostFree(source));
  ASSERT_OK(npuHostFree(target));
}

TEST_F(CopyTest, BetweenDevices) {
  ASSERT_OK(npuDeviceReset(1));
  constexpr size_t kSize = 54321;
  Memory here(kSize, 0);
  Memory there(kSize, 1);
  const Bytes expected = random_bytes(kSize, 5);
  upload(here.get(), expected, stream);
  ASSERT_OK(npuMemcpyAsync(there.get(), here.get(), kSize, NPU_DEVICE_TO_DEVICE, stream));
  ASSERT_OK(npuStreamSynchronize(stream));
  EXPECT_EQ(download<uint8_t>(there.get(), kSize, default_stream(1)), expected);

  // And fetched by a stream of the target.
  ASSERT_OK(npuMemsetAsync(here.get(), 9, kSize, stream));
  ASSERT_OK(npuStreamSynchronize(stream));
  ASSERT_OK(
      npuMemcpyAsync(there.get(), here.get(), kSize, NPU_DEVICE_TO_DEVICE, default_stream(1)));
  EXPECT_EQ(download<uint8_t>(there.get(), kSize, default_stream(1)), Bytes(kSize, 9));

  npuCounters mine;
  npuCounters theirs;
  ASSERT_OK(npuGetCounters(0, &mine));
  ASSERT_OK(npuGetCounters(1, &theirs));
  EXPECT_EQ(mine.device_to_host_bytes, 2 * kSize);
  EXPECT_EQ(mine.host_to_device_bytes, kSize);  // the upload
  EXPECT_EQ(theirs.host_to_device_bytes, 2 * kSize);
  EXPECT_EQ(theirs.device_to_host_bytes, 2 * kSize);  // the downloads
}

TEST_F(CopyTest, CopiesOfOneDeviceAreProgramsThatCount) {
  constexpr size_t kSize = 1000001;
  Memory a(kSize);
  Memory b(kSize);
  ASSERT_OK(npuResetCounters(0));
  ASSERT_OK(npuMemcpyAsync(b.get(), a.get(), kSize, NPU_DEVICE_TO_DEVICE, stream));
  npuCounters counters;
  ASSERT_OK(npuGetCounters(0, &counters));
  EXPECT_EQ(counters.launches, 1u);
  EXPECT_EQ(counters.dma_read_bytes, kSize);
  EXPECT_EQ(counters.dma_write_bytes, kSize);
  EXPECT_EQ(counters.host_to_device_bytes + counters.device_to_host_bytes, 0u);
}

TEST_F(CopyTest, FillsCountWhateverTheyWrite) {
  constexpr size_t kSize = (80 << 20) + 4097;  // enough for an implementation to drop pages
  Memory memory(kSize + 2000);
  ASSERT_OK(npuMemsetAsync(memory.get(), 7, kSize + 2000, stream));
  npuCounters of[2];
  double times[2];
  for (int value : {0, 1}) {
    ASSERT_OK(npuResetCounters(0));
    double start = 0;
    double end = 0;
    ASSERT_OK(npuGetSimulatedTime(0, &start));
    ASSERT_OK(npuMemsetAsync(memory.at(999), value, kSize, stream));
    ASSERT_OK(npuGetSimulatedTime(0, &end));
    times[value] = end - start;
    ASSERT_OK(npuGetCounters(0, &of[value]));
    const Bytes content = download<uint8_t>(memory.get(), kSize + 2000);
    ASSERT_EQ(std::count(content.begin(), content.begin() + 999, 7), 999);
    ASSERT_EQ(std::count(content.begin() + 999, content.begin() + 999 + kSize, value),
              static_cast<long>(kSize));
    ASSERT_EQ(std::count(content.begin() + 999 + kSize, content.end(), 7), 1001);
  }
  EXPECT_EQ(of[0].dma_write_bytes, kSize);
  EXPECT_EQ(of[0].dma_read_bytes, 0u);
  EXPECT_EQ(std::memcmp(&of[0], &of[1], sizeof(npuCounters)), 0);
  EXPECT_NEAR(times[0], times[1], 0.002);     // picoseconds, in doubles
  EXPECT_GT(times[0], 1e9 * kSize / 2400e9);  // no faster than the memory
}

TEST_F(CopyTest, RangesAreChecked) {
  Memory memory(1000);
  Memory other(1000);
  Memory peer(1000, 1);
  Bytes host(2000);
  const auto refused = [&](void* dst, const void* src, size_t bytes, npuMemcpyKind kind,
                           const std::vector<std::string>& texts) {
    EXPECT_FAILURE(npuMemcpyAsync(dst, src, bytes, kind, stream), NPU_ERROR_INVALID_VALUE, texts);
  };
  refused(memory.get(), host.data(), 1001, NPU_HOST_TO_DEVICE, {"dst", "1001", "1000"});
  refused(memory.at(1), host.data(), 1000, NPU_HOST_TO_DEVICE, {"dst"});
  refused(host.data(), memory.at(500), 501, NPU_DEVICE_TO_HOST, {"src"});
  refused(memory.get(), other.get(), 1001, NPU_DEVICE_TO_DEVICE, {"1001"});
  refused(memory.at(1), memory.get(), 100, NPU_DEVICE_TO_DEVICE, {"overlap"});
  refused(host.data(), host.data(), 10, NPU_HOST_TO_DEVICE, {"not an address of device 0"});
  refused(memory.get(), other.get(), 10, NPU_HOST_TO_DEVICE, {"not host memory"});
  refused(memory.get(), other.get(), 10, NPU_DEVICE_TO_HOST, {"not host memory"});
  refused(memory.get(), host.data(), 10, NPU_DEVICE_TO_DEVICE, {"src"});
  refused(peer.get(), host.data(), 10, NPU_HOST_TO_DEVICE, {"device 1", "device 0"});
  refused(nullptr, host.data(), 10, NPU_HOST_TO_DEVICE, {"dst is NULL"});
  refused(memory.get(), nullptr, 10, NPU_HOST_TO_DEVICE, {"src is NULL"});
  refused(memory.get(), host.data(), 10, static_cast<npuMemcpyKind>(3), {"3 is no"});
  EXPECT_FAILURE(npuMemsetAsync(memory.at(1), 0, 1000, stream), NPU_ERROR_INVALID_VALUE, "dst");
  EXPECT_OK(npuMemcpyAsync(nullptr, nullptr, 0, NPU_HOST_TO_DEVICE, stream));
  EXPECT_OK(npuMemsetAsync(nullptr, 0, 0, stream));
  EXPECT_OK(npuDeviceGetStatus(0));  // none of this is sticky
}

}  // namespace
}  // namespace npu::conformance

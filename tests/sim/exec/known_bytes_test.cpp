#include "sim/exec/known_bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace npu::sim {
namespace {

TEST(KnownBytes, AgreesWithAFlagForEachByte) {
  constexpr int64_t kSize = 64;
  std::vector<std::byte> memory(kSize);
  std::vector<bool> flags(kSize, false);
  KnownBytes known;
  std::mt19937 random(1);
  const auto number = [&](int64_t most) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(most + 1));
  };
  for (int round = 0; round < 20000; ++round) {
    const int64_t begin = number(kSize);
    const int64_t bytes = number(std::min<int64_t>(kSize - begin, 12));
    const bool adds = number(1) == 0;
    if (adds) {
      known.add(memory.data() + begin, bytes);
    } else {
      known.remove(memory.data() + begin, bytes);
    }
    for (int64_t i = begin; i < begin + bytes; ++i) flags[static_cast<size_t>(i)] = adds;

    const int64_t from = number(kSize - 1);
    const int64_t count = 1 + number(kSize - from - 1);
    bool all = true;
    for (int64_t i = from; i < from + count; ++i) all = all && flags[static_cast<size_t>(i)];
    ASSERT_EQ(known.contains(memory.data() + from, count), all) << from << " + " << count;
  }
  known.clear();
  EXPECT_FALSE(known.contains(memory.data(), 1));
}

}  // namespace
}  // namespace npu::sim

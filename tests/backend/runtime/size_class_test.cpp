#include "csrc/backend/runtime/size_class.h"

#include <gtest/gtest.h>

namespace npu::backend {
namespace {

TEST(SizeClassTest, HoldsWithLittleWaste) {
  for (size_t bytes = 1; bytes < (size_t{1} << 46); bytes += 1 + bytes / 7) {
    const SizeClass chosen = size_class(bytes);
    EXPECT_GE(chosen.bytes, bytes);
    if (bytes > kSmallestClass) EXPECT_LE(chosen.bytes, bytes + bytes / kStepsPerOctave);
    EXPECT_GE(chosen.index, 0);
    EXPECT_LT(chosen.index, kSizeClasses);
  }
}

TEST(SizeClassTest, IndexAndSizeGoTogether) {
  SizeClass last = size_class(1);
  EXPECT_EQ(last.index, 0);
  for (size_t bytes = 2; bytes < 100'000; ++bytes) {
    const SizeClass chosen = size_class(bytes);
    if (bytes <= last.bytes) {
      EXPECT_EQ(chosen.index, last.index) << bytes;
      EXPECT_EQ(chosen.bytes, last.bytes) << bytes;
    } else {
      EXPECT_EQ(chosen.index, last.index + 1) << bytes;
      EXPECT_GT(chosen.bytes, last.bytes) << bytes;
    }
    last = chosen;
  }
}

TEST(SizeClassTest, PowersOfTwoAreClasses) {
  for (size_t bytes = kSmallestClass; bytes <= (size_t{1} << 40); bytes *= 2) {
    EXPECT_EQ(size_class(bytes).bytes, bytes);
  }
}

}  // namespace
}  // namespace npu::backend

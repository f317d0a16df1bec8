#include "csrc/sdk/runtime/choices.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "npu/npu.h"

namespace npu::sdk {
namespace {

TEST(Choices, AreSearchedOnceForAProblemAndMachine) {
  Choices<2, 3> choices("choices", "");
  sim::Machine machine;
  int searches = 0;
  const auto ask = [&](int64_t a, int64_t b) {
    return choices.get(machine, {a, b}, [&]() -> std::array<int64_t, 3> {
      ++searches;
      return {a + b, a - b, searches};
    });
  };
  const auto first = ask(7, 5);
  EXPECT_EQ(first[0], 12);
  EXPECT_EQ(first[1], 2);
  EXPECT_EQ(ask(7, 5), first);
  EXPECT_NE(ask(5, 7), first);
  const int before = searches;
  machine.core.count += 1;
  EXPECT_NE(ask(7, 5), first);
  EXPECT_EQ(searches, before + 1);
  machine.core.count -= 1;
  EXPECT_EQ(ask(7, 5), first);
  EXPECT_EQ(searches, before + 1);
}

TEST(Choices, AFailedSearchLeavesNothingBehind) {
  Choices<1, 1> choices("choices", "");
  const sim::Machine machine;
  const auto fail = []() -> std::array<int64_t, 1> { throw std::runtime_error("no"); };
  EXPECT_THROW(choices.get(machine, {1}, fail), std::runtime_error);
  EXPECT_EQ(choices.get(machine, {1}, [] { return std::array<int64_t, 1>{4}; })[0], 4);
}

}  // namespace
}  // namespace npu::sdk

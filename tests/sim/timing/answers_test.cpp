#include "sim/timing/answers.h"

#include <gtest/gtest.h>

#include "sim/error.h"
#include "tests/sim/timing/sample_programs.h"

namespace npu::sim {
namespace {

// Program i loads x[i], and takes so many rounds, and `more`.
constexpr std::string_view kRounds =
    ".kernel rounds\n.arg x ptr\n.arg more i64\n.arg seed i64\n.tile a f32 8\n"
    "s.load.i32 r0, x[%pid]\nloop r1, r0\nendloop\nloop r1, more\nendloop\n"
    "v.random.uniform a, seed, 0, (1, 8)\nexit\n";

class AnswersTest : public ::testing::Test {
 protected:
  static Arg pointer_to(std::vector<int32_t>& data) {
    const auto bytes = static_cast<int64_t>(4 * data.size());
    return Arg::pointer({reinterpret_cast<std::byte*>(data.data()), 0, bytes, 0x1000});
  }
  Launch launch_on(std::vector<int32_t>& data) const {
    return {&program, 4, {pointer_to(data), Arg::integer(0), Arg::integer(0)}};
  }

  Program program = assemble(kRounds);
  Machine machine = tiny_machine();
  Timer timer{machine};
  std::vector<int32_t> lengths = {10, 20, 30, 40, 50};
};

TEST_F(AnswersTest, IntegersThatSteerMakeTheAnswer) {
  const Timing* first = &timer.time(launch_on(lengths));
  EXPECT_EQ(&timer.time(launch_on(lengths)), first);
  std::vector<int32_t> elsewhere = lengths;
  elsewhere[4] = 7;  // which no program loads
  EXPECT_EQ(&timer.time(launch_on(elsewhere)), first);
  const uint64_t before = first->cycles;
  lengths[2] = 31;
  EXPECT_EQ(timer.time(launch_on(lengths)).cycles, before + 1);
  EXPECT_EQ(timer.time(launch_on(elsewhere)).cycles, before);  // both are remembered
}

TEST_F(AnswersTest, NumbersThatSteerMakeTheAnswerOthersDoNot) {
  const Timing* first = &timer.time(launch_on(lengths));
  const uint64_t cycles = first->cycles;
  Launch launch = launch_on(lengths);
  launch.args[2] = Arg::integer(12345);  // the seed
  EXPECT_EQ(&timer.time(launch), first);
  launch.args[1] = Arg::integer(3);
  EXPECT_GT(timer.time(launch).cycles, cycles);
}

TEST_F(AnswersTest, SkippedDataIsNoAnswer) {
  const uint64_t cycles = timer.time(launch_on(lengths)).cycles;
  KnownBytes known;
  Launch launch = launch_on(lengths);
  launch.known = &known;
  const auto poisoned = [&] {
    try {
      timer.time(launch);
    } catch (const MachineError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kPoison);
      for (const char* text : {"kernel 'rounds'", "'x'", "0x1000", "20 bytes"}) {
        EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
      }
      return true;
    }
    return false;
  };
  EXPECT_TRUE(poisoned());
  const auto* data = reinterpret_cast<const std::byte*>(lengths.data());
  known.add(data, 15);
  EXPECT_TRUE(poisoned());
  known.add(data + 15, 1);
  EXPECT_EQ(timer.time(launch).cycles, cycles);
  launch.args[0].buffer.data = nullptr;
  EXPECT_TRUE(poisoned());
}

TEST_F(AnswersTest, BoundsOfLoadsAreCheckedAgain) {
  timer.time(launch_on(lengths));
  Launch launch = launch_on(lengths);
  launch.args[0].buffer.upper = 12;
  EXPECT_THROW(timer.time(launch), MachineError);
}

TEST_F(AnswersTest, OldAnswersGiveWay) {
  Answers answers(machine);
  Launch launch = launch_on(lengths);
  Timing timing;
  for (int64_t i = 0; i < 100000; ++i) {
    launch.args[1] = Arg::integer(i);
    timing.cycles = static_cast<uint64_t>(i);
    EXPECT_EQ(answers.remember(launch, {}, timing).cycles, timing.cycles);
    EXPECT_EQ(answers.find(launch)->cycles, timing.cycles);
  }
  launch.args[1] = Arg::integer(0);
  EXPECT_EQ(answers.find(launch), nullptr);
}

TEST_F(AnswersTest, OfLaunchesThatLoadOtherIntegersTheLatestStay) {
  Answers answers(machine);
  const Launch launch = launch_on(lengths);
  const auto loads = [](int64_t value) {
    return std::vector<ScalarLoad>{{0, DType::i32, 4, value}, {0, DType::i32, 4, value}};
  };
  Timing timing;
  for (int64_t i = 0; i < 100; ++i) {
    timing.cycles = static_cast<uint64_t>(i);
    answers.remember(launch, loads(i), timing);
  }
  lengths[1] = 99;
  ASSERT_NE(answers.find(launch), nullptr);
  EXPECT_EQ(answers.find(launch)->cycles, 99u);
  lengths[1] = 80;
  EXPECT_EQ(answers.find(launch)->cycles, 80u);
  lengths[1] = 0;
  EXPECT_EQ(answers.find(launch), nullptr);
}

}  // namespace
}  // namespace npu::sim

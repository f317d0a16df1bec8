#include "csrc/sdk/runtime/tuning_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace npu::sdk {
namespace {

using Numbers = std::vector<int64_t>;

class TuningCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::temp_directory_path() /
                 ("npu_tuning_" + std::to_string(getpid()) + "_" + test->name());
    std::filesystem::remove_all(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string folder() const { return (directory_ / "deep").string(); }

  std::string content(const TuningCache& cache) const {
    std::ifstream stream(cache.path());
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write(const TuningCache& cache, const std::string& text) const {
    std::filesystem::create_directories(folder());
    std::ofstream(cache.path(), std::ios::trunc) << text;
  }

  std::filesystem::path directory_;
};

TEST_F(TuningCacheTest, KeepsAnswersForLaterProcesses) {
  {
    TuningCache cache(folder(), "gemm", "v1");
    EXPECT_EQ(cache.find(Numbers{1, 2}), std::nullopt);
    cache.store(Numbers{1, 2}, Numbers{-5, 7, 9});
    cache.store(Numbers{1}, Numbers{4});
    cache.store(Numbers{1}, Numbers{5});  // the last one counts
  }
  TuningCache cache(folder(), "gemm", "v1");
  EXPECT_EQ(cache.find(Numbers{1, 2}), (Numbers{-5, 7, 9}));
  EXPECT_EQ(cache.find(Numbers{1}), Numbers{5});
  EXPECT_EQ(cache.find(Numbers{2}), std::nullopt);
  TuningCache other(folder(), "gemm", "v2");
  EXPECT_EQ(other.find(Numbers{1}), std::nullopt);
}

TEST_F(TuningCacheTest, WithoutDirectoryNothingIsKept) {
  TuningCache cache("", "gemm", "v1");
  cache.store(Numbers{1}, Numbers{2});
  EXPECT_EQ(cache.find(Numbers{1}), std::nullopt);
  EXPECT_EQ(cache.path(), "");
  TuningCache unversioned(folder(), "gemm", "");
  unversioned.store(Numbers{1}, Numbers{2});
  EXPECT_FALSE(std::filesystem::exists(folder()));
}

TEST_F(TuningCacheTest, DamagedLinesAreLeftOut) {
  std::string text;
  {
    TuningCache cache(folder(), "gemm", "v1");
    for (int64_t i = 0; i < 4; ++i) cache.store(Numbers{i}, Numbers{10 * i});
    text = content(cache);
  }
  const size_t line = text.size() / 4;
  text[line - 2] = '7';                    // the first one's value
  text.replace(line, line, "no cache\n");  // the second one
  text.resize(text.size() - 3);            // the last one's end
  TuningCache cache(folder(), "gemm", "v1");
  write(cache, text);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(cache.find(Numbers{0}), std::nullopt);
  EXPECT_EQ(cache.find(Numbers{1}), std::nullopt);
  EXPECT_EQ(cache.find(Numbers{2}), Numbers{20});
  EXPECT_EQ(cache.find(Numbers{3}), std::nullopt);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("3 damaged lines"), std::string::npos) << said;
  EXPECT_NE(said.find(cache.path()), std::string::npos) << said;

  // What is added now does not join the line without an end.
  cache.store(Numbers{8}, Numbers{80});
  TuningCache next(folder(), "gemm", "v1");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(next.find(Numbers{8}), Numbers{80});
  ::testing::internal::GetCapturedStderr();
}

TEST_F(TuningCacheTest, UnusableDirectoryWarnsOnce) {
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ / "deep") << "a file";
  TuningCache cache(folder(), "gemm", "v1");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(cache.find(Numbers{1}), std::nullopt);
  cache.store(Numbers{1}, Numbers{2});
  cache.store(Numbers{2}, Numbers{2});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
  EXPECT_NE(said.find("cannot be written"), std::string::npos) << said;
}

TEST_F(TuningCacheTest, WritersDoNotDisturbEachOther) {
  constexpr int64_t kEach = 200;
  constexpr int64_t kWriters = 4;
  std::vector<std::thread> writers;
  for (int64_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      TuningCache cache(folder(), "gemm", "v1");  // each as a process of its own
      for (int64_t i = 0; i < kEach; ++i) cache.store(Numbers{w, i}, Numbers{w * i, w + i});
    });
  }
  for (std::thread& writer : writers) writer.join();
  TuningCache cache(folder(), "gemm", "v1");
  for (int64_t w = 0; w < kWriters; ++w) {
    for (int64_t i = 0; i < kEach; ++i) {
      EXPECT_EQ(cache.find(Numbers{w, i}), (Numbers{w * i, w + i}));
    }
  }
}

TEST(TuningCache, AnswersBelongToTheBuildAndTheMachine) {
  EXPECT_GE(build_id().size(), 16u);
  EXPECT_EQ(build_id(), build_id());
  sim::Machine machine = sim::load_machine("n1");
  const uint64_t hash = machine_hash(machine);
  EXPECT_EQ(machine_hash(sim::load_machine("n1")), hash);
  sim::apply_override(machine, "hbm.latency_ns=451");
  EXPECT_NE(machine_hash(machine), hash);
}

}  // namespace
}  // namespace npu::sdk

#include "csrc/backend/runtime/generator.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace npu::backend {
namespace {

TEST(GeneratorTest, ReservationsFollowEachOther) {
  NpuGenerator generator(0);
  generator.set_current_seed(42);
  EXPECT_EQ(generator.reserve(10), std::pair(uint64_t{42}, uint64_t{0}));
  EXPECT_EQ(generator.reserve(5), std::pair(uint64_t{42}, uint64_t{10}));
  generator.set_current_seed(43);
  EXPECT_EQ(generator.reserve(1), std::pair(uint64_t{43}, uint64_t{0}));
}

TEST(GeneratorTest, ThreadsNeverShareNumbers) {
  NpuGenerator generator(0);
  std::vector<std::vector<uint64_t>> firsts(4);
  std::vector<std::thread> threads;
  for (auto& mine : firsts) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) mine.push_back(generator.reserve(3).second);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<uint64_t> all;
  for (const auto& mine : firsts) all.insert(all.end(), mine.begin(), mine.end());
  std::ranges::sort(all);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], 3 * i);
}

TEST(GeneratorTest, CloneAndState) {
  const at::Generator generator = at::make_generator<NpuGenerator>(c10::DeviceIndex{1});
  generator.get<NpuGenerator>()->set_current_seed(7);
  generator.get<NpuGenerator>()->reserve(9);
  const at::Generator copy = generator.clone();
  EXPECT_EQ(copy.current_seed(), 7U);
  EXPECT_EQ(copy.get_offset(), 9U);
  EXPECT_EQ(copy.device().index(), 1);
  at::Generator other = at::make_generator<NpuGenerator>(c10::DeviceIndex{0});
  other.set_state(generator.get_state());
  EXPECT_EQ(other.get<NpuGenerator>()->reserve(1), std::pair(uint64_t{7}, uint64_t{9}));
}

TEST(GeneratorTest, DefaultsBelongToDevices) {
  EXPECT_EQ(default_generator(1).device(), c10::Device(c10::kPrivateUse1, 1));
  EXPECT_EQ(&generator_for(std::nullopt, 1), default_generator(1).get<NpuGenerator>());
  EXPECT_THROW(default_generator(60), c10::Error);
}

}  // namespace
}  // namespace npu::backend

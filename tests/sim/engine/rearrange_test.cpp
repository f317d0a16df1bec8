#include "sim/engine/rearrange.h"

#include <gtest/gtest.h>

#include <numeric>

#include "sim/error.h"
#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

std::vector<int32_t> counting(size_t n) {
  std::vector<int32_t> values(n);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

TEST(Rearrange, SlicesAndInserts) {
  auto src = counting(30);
  std::vector<int32_t> out(6);
  slice(tile_of(out, 2, 3), tile_of(src, 5, 6), 3, 2);
  EXPECT_EQ(out, (std::vector<int32_t>{20, 21, 22, 26, 27, 28}));
  std::vector<int32_t> part = {-1, -2};
  insert(tile_of(src, 5, 6), tile_of(part, 2, 1), 1, 5);
  EXPECT_EQ(src[11], -1);
  EXPECT_EQ(src[17], -2);
  EXPECT_EQ(src[10], 10);
}

TEST(Rearrange, ExpandsAndTransposes) {
  auto row = counting(4);
  std::vector<int32_t> out(12);
  expand(tile_of(out, 3, 4), tile_of(row, 1, 4));
  for (int i = 0; i < 12; ++i) EXPECT_EQ(out[i], i % 4);
  expand(tile_of(out, 4, 3), tile_of(row, 4, 1));
  for (int i = 0; i < 12; ++i) EXPECT_EQ(out[i], i / 3);
  expand(tile_of(out, 4, 3), tile_of(row, 1, 1));
  for (int i = 0; i < 12; ++i) EXPECT_EQ(out[i], 0);
  auto src = counting(12);
  transpose(tile_of(out, 4, 3), tile_of(src, 3, 4));
  for (int i = 0; i < 12; ++i) EXPECT_EQ(out[i], i % 3 * 4 + i / 3);
}

TEST(Rearrange, GathersColumns) {
  EngineContext context{vector_table(), {}};
  auto src = counting(10);
  std::vector<int16_t> index = {4, 0, 2, 1, 1, 3};
  std::vector<int32_t> out(6);
  gather_columns(context, tile_of(out, 2, 3), tile_of(src, 2, 5), tile_of(index, 2, 3));
  EXPECT_EQ(out, (std::vector<int32_t>{4, 0, 2, 6, 6, 8}));
  index[1] = 5;
  EXPECT_THROW(
      gather_columns(context, tile_of(out, 2, 3), tile_of(src, 2, 5), tile_of(index, 2, 3)),
      MachineError);
}

TEST(Rearrange, CountsAndFills) {
  EngineContext context{vector_table(), {}};
  std::vector<int64_t> integers(6);
  iota(context, tile_of(integers, 2, 3), 10, -2, 100);
  EXPECT_EQ(integers, (std::vector<int64_t>{10, 8, 6, 110, 108, 106}));
  std::vector<float> reals(4);
  iota(context, tile_of(reals, 1, 4), std::bit_cast<int64_t>(0.5), std::bit_cast<int64_t>(0.25), 0);
  EXPECT_EQ(reals, (std::vector<float>{0.5f, 0.75f, 1.0f, 1.25f}));
  fill(context, tile_of(reals, 2, 2), std::bit_cast<int64_t>(-1.5));
  EXPECT_EQ(reals, std::vector<float>(4, -1.5f));
  std::vector<uint8_t> truth(3);
  fill(context, tile_of(truth, 1, 3, DType::b8), 256);
  EXPECT_EQ(truth, std::vector<uint8_t>(3, 1));
}

}  // namespace
}  // namespace npu::sim

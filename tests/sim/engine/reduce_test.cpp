#include "sim/engine/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "sim/error.h"
#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

class Reduce : public testing::Test {
 protected:
  EngineContext context_{vector_table(), {}};
  std::mt19937 generator_{21};
};

double reference(ReduceFn fn, const std::vector<double>& x) {
  double result = fn == ReduceFn::prod || fn == ReduceFn::all ? 1 : 0;
  for (size_t i = 0; i < x.size(); ++i) {
    switch (fn) {
      case ReduceFn::sum:
        result += x[i];
        break;
      case ReduceFn::prod:
        result *= x[i];
        break;
      case ReduceFn::max:
        result = i == 0 || x[i] > result ? x[i] : result;
        break;
      case ReduceFn::min:
        result = i == 0 || x[i] < result ? x[i] : result;
        break;
      case ReduceFn::any:
        result = result != 0 || x[i] != 0;
        break;
      case ReduceFn::all:
        result = result != 0 && x[i] != 0;
        break;
      case ReduceFn::argmax:
        if (x[i] > x[static_cast<size_t>(result)]) result = static_cast<double>(i);
        break;
      case ReduceFn::argmin:
        if (x[i] < x[static_cast<size_t>(result)]) result = static_cast<double>(i);
        break;
    }
  }
  return result;
}

TEST_F(Reduce, EveryFunctionInEveryDirection) {
  const ReduceFn functions[] = {ReduceFn::sum, ReduceFn::prod, ReduceFn::max,    ReduceFn::min,
                                ReduceFn::any, ReduceFn::all,  ReduceFn::argmax, ReduceFn::argmin};
  const DType types[] = {DType::f64, DType::f32, DType::bf16, DType::f16,
                         DType::i64, DType::i32, DType::u8};
  for (ReduceFn fn : functions) {
    for (DType type : types) {
      for (bool rows : {false, true}) {
        const int64_t r = 1 + generator_() % 50;
        const int64_t c = generator_() % 4 == 0 ? 1100 : 1 + generator_() % 50;
        std::vector<double> values(static_cast<size_t>(r * c));
        for (double& x : values) {
          x = fn == ReduceFn::prod ? 1 + (generator_() % 100 == 0)
                                   : static_cast<double>(generator_() % 5);
        }
        const TypedTile src = typed_tile(type, r, c, values);
        const int64_t count = rows ? c : r;
        std::vector<int64_t> out(static_cast<size_t>(count));
        reduce(context_, fn, rows, tile_of(out, rows ? 1 : r, rows ? c : 1), src.tile);
        for (int64_t i = 0; i < count; ++i) {
          std::vector<double> line;
          for (int64_t j = 0; j < (rows ? r : c); ++j) {
            line.push_back(src.values[rows ? j * c + i : i * c + j]);
          }
          // All values are small integers: sums and products are exact, bf16's products aside.
          ASSERT_EQ(static_cast<double>(out[i]), reference(fn, line))
              << static_cast<int>(fn) << " " << name(type) << (rows ? " rows" : " cols");
        }
      }
    }
  }
}

TEST_F(Reduce, LongSumsKeepTheirAccuracy) {
  constexpr int64_t kLong = 1 << 20;
  std::vector<float> ones(kLong, 0.1f);
  std::vector<float> out(1);
  reduce(context_, ReduceFn::sum, false, tile_of(out, 1, 1), tile_of(ones, 1, kLong));
  EXPECT_NEAR(out[0], kLong * double{0.1f}, 0.02);
  reduce(context_, ReduceFn::sum, true, tile_of(out, 1, 1), tile_of(ones, kLong, 1));
  EXPECT_NEAR(out[0], kLong * double{0.1f}, 0.02);
}

TEST_F(Reduce, NanPropagatesAndWinsTheIndex) {
  for (bool rows : {false, true}) {
    std::vector<float> x = {1, NAN, 7, NAN};
    std::vector<float> out(1);
    std::vector<int32_t> index(1);
    const Tile src = tile_of(x, rows ? 4 : 1, rows ? 1 : 4);
    for (ReduceFn fn : {ReduceFn::max, ReduceFn::min, ReduceFn::sum}) {
      reduce(context_, fn, rows, tile_of(out, 1, 1), src);
      EXPECT_TRUE(std::isnan(out[0]));
    }
    for (ReduceFn fn : {ReduceFn::argmax, ReduceFn::argmin}) {
      reduce(context_, fn, rows, tile_of(index, 1, 1), src);
      EXPECT_EQ(index[0], 1);
    }
    std::vector<uint8_t> truth(1);
    reduce(context_, ReduceFn::all, rows, tile_of(truth, 1, 1, DType::b8), src);
    EXPECT_EQ(truth[0], 1);
  }
}

TEST_F(Reduce, NothingGivesTheNeutralElement) {
  std::vector<float> none;
  std::vector<float> out(2);
  const Tile src = tile_of(none, 2, 0);
  reduce(context_, ReduceFn::sum, false, tile_of(out, 2, 1), src);
  EXPECT_EQ(out[1], 0);
  reduce(context_, ReduceFn::prod, false, tile_of(out, 2, 1), src);
  EXPECT_EQ(out[1], 1);
  reduce(context_, ReduceFn::max, false, tile_of(out, 2, 1), src);
  EXPECT_EQ(out[1], -INFINITY);
  std::vector<int64_t> index(2);
  EXPECT_THROW(reduce(context_, ReduceFn::argmax, false, tile_of(index, 2, 1), src), MachineError);
}

TEST_F(Reduce, IntegersWrapAndWiden) {
  std::vector<int32_t> x(4, 1 << 30);
  std::vector<int64_t> wide(1);
  reduce(context_, ReduceFn::sum, false, tile_of(wide, 1, 1), tile_of(x, 1, 4));
  EXPECT_EQ(wide[0], int64_t{1} << 32);
  std::vector<int32_t> narrow(1);
  reduce(context_, ReduceFn::sum, false, tile_of(narrow, 1, 1), tile_of(x, 1, 4));
  EXPECT_EQ(narrow[0], 0);
}

TEST_F(Reduce, Scans) {
  std::vector<float> x = {1, 2, -3, 4, 5, 0.5f, -1, 2};
  std::vector<float> out(8);
  const auto run = [&](ScanFn fn) { scan(context_, fn, tile_of(out, 2, 4), tile_of(x, 2, 4)); };
  run(ScanFn::sum);
  EXPECT_EQ(out, (std::vector<float>{1, 3, 0, 4, 5, 5.5f, 4.5f, 6.5f}));
  run(ScanFn::prod);
  EXPECT_EQ(out, (std::vector<float>{1, 2, -6, -24, 5, 2.5f, -2.5f, -5}));
  run(ScanFn::max);
  EXPECT_EQ(out, (std::vector<float>{1, 2, 2, 4, 5, 5, 5, 5}));
  run(ScanFn::min);
  EXPECT_EQ(out, (std::vector<float>{1, 1, -3, -3, 5, 0.5f, -1, -1}));
  run(ScanFn::logsumexp);
  EXPECT_NEAR(out[3], std::log(std::exp(1.0) + std::exp(2.0) + std::exp(-3.0) + std::exp(4.0)),
              1e-6);
  std::vector<float> infinite = {-INFINITY, -INFINITY, 1, INFINITY, NAN};
  std::vector<float> log(5);
  scan(context_, ScanFn::logsumexp, tile_of(log, 1, 5), tile_of(infinite, 1, 5));
  EXPECT_EQ(log[1], -INFINITY);
  EXPECT_EQ(log[2], 1);
  EXPECT_EQ(log[3], INFINITY);
  EXPECT_TRUE(std::isnan(log[4]));
  std::vector<int8_t> small(300, 1);
  std::vector<int64_t> sums(300);
  scan(context_, ScanFn::sum, tile_of(sums, 1, 300), tile_of(small, 1, 300));
  EXPECT_EQ(sums[299], 300);
}

}  // namespace
}  // namespace npu::sim

// The matrix engine against a triple loop in double precision.
#include "sim/engine/matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace npu::sim {
namespace {

struct Stored {
  std::vector<std::byte> bytes;
  std::vector<double> values;  // what the elements are, row-major without gaps
  Tile tile;
};

// A tile with gaps between its rows, so that leading dimensions count.
Stored make_tile(const VectorTable& table, DType type, int64_t rows, int64_t cols, int64_t gap,
                 std::mt19937& generator) {
  Stored stored;
  stored.bytes.resize(static_cast<size_t>((rows * (cols + gap)) * size_of(type)));
  stored.tile = {stored.bytes.data(), cols + gap, rows, cols, type};
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < rows * cols; ++i) {
    double value = is_float(type) ? normal(generator) : std::floor(normal(generator) * 40);
    std::byte* to = stored.tile.row(i / cols) + i % cols * size_of(type);
    store_as(table, type, to, &value, 1);
    load_as(table, &value, type, to, 1);
    stored.values.push_back(value);
  }
  return stored;
}

void check(EngineContext& context, DType in, DType out, int64_t m, int64_t n, int64_t k, bool ta,
           bool tb, bool accumulate, int64_t gap, std::mt19937& generator) {
  Stored a = make_tile(context.table, in, ta ? k : m, ta ? m : k, gap, generator);
  Stored b = make_tile(context.table, in, tb ? n : k, tb ? k : n, gap, generator);
  Stored c = make_tile(context.table, out, m, n, 0, generator);
  multiply(context, {ta, tb, accumulate}, c.tile, a.tile, b.tile);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = accumulate ? c.values[i * n + j] : 0;
      double size = std::abs(sum);
      for (int64_t p = 0; p < k; ++p) {
        const double term =
            a.values[ta ? p * m + i : i * k + p] * b.values[tb ? j * k + p : p * n + j];
        sum += term;
        size += std::abs(term);
      }
      double got = 0;
      load_as(context.table, &got, out, c.tile.row(i) + j * size_of(out), 1);
      const double epsilon = out == DType::f64 ? 1e-15 : is_float(out) ? 2.5e-7 : 0;
      ASSERT_NEAR(got, sum, size * epsilon * 2)
          << name(in) << " [" << m << ", " << n << ", " << k << "] at " << i << ", " << j
          << (ta ? " ta" : "") << (tb ? " tb" : "");
    }
  }
}

class MatrixTest : public testing::TestWithParam<const char*> {};

TEST_P(MatrixTest, AgreesWithDoublePrecision) {
  const VectorTable* table = vector_table(GetParam());
  if (table == nullptr) GTEST_SKIP() << "this host has no " << GetParam();
  EngineContext context{*table, {}};
  std::mt19937 generator(6);
  const std::pair<DType, DType> types[] = {
      {DType::f32, DType::f32}, {DType::bf16, DType::f32}, {DType::f16, DType::f32},
      {DType::f64, DType::f64}, {DType::i8, DType::i32},   {DType::u8, DType::i32},
      {DType::i16, DType::i64}, {DType::i32, DType::i64},  {DType::i64, DType::i64}};
  for (const auto& [in, out] : types) {
    for (int trial = 0; trial < 40; ++trial) {
      const auto size = [&]() -> int64_t {
        const uint32_t kind = generator() % 4;
        return kind == 0 ? 1 : 1 + generator() % (kind == 1 ? 9 : 70);
      };
      const int64_t m = size();
      const int64_t n = size();
      const int64_t k = size();
      const bool ta = generator() % 2;
      const bool tb = generator() % 2;
      const bool accumulate = generator() % 2;
      check(context, in, out, m, n, k, ta, tb, accumulate, generator() % 3, generator);
    }
  }
}

TEST_P(MatrixTest, EmptyInnerDimensionIsZero) {
  const VectorTable* table = vector_table(GetParam());
  if (table == nullptr) GTEST_SKIP() << "this host has no " << GetParam();
  EngineContext context{*table, {}};
  std::vector<float> c(6, 5.0f);
  const Tile dst{reinterpret_cast<std::byte*>(c.data()), 3, 2, 3, DType::f32};
  const Tile a{nullptr, 0, 2, 0, DType::f32};
  const Tile b{nullptr, 3, 0, 3, DType::f32};
  multiply(context, {.accumulate = true}, dst, a, b);
  EXPECT_EQ(c[5], 5.0f);
  multiply(context, {}, dst, a, b);
  EXPECT_EQ(c[5], 0.0f);
}

TEST(Matrix, IntegersWrap) {
  EngineContext context{vector_table(), {}};
  std::vector<int32_t> a = {1 << 30, 1 << 30};
  std::vector<int32_t> b = {4, 1};
  int32_t c = 1;
  const auto tile = [](int32_t* data, int64_t rows, int64_t cols) {
    return Tile{reinterpret_cast<std::byte*>(data), cols, rows, cols, DType::i32};
  };
  multiply(context, {.accumulate = true}, tile(&c, 1, 1), tile(a.data(), 1, 2),
           tile(b.data(), 2, 1));
  EXPECT_EQ(c, (1 << 30) + 1);
}

INSTANTIATE_TEST_SUITE_P(Hosts, MatrixTest, testing::Values("avx2", "avx512"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace npu::sim

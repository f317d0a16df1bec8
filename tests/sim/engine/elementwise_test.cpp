#include "sim/engine/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "sim/engine/chain.h"
#include "sim/error.h"
#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

VectorOperand operand(const Tile& tile) {
  VectorOperand made;
  made.is_tile = true;
  made.tile = tile;
  return made;
}

VectorOperand real(double value) {
  VectorOperand made;
  made.real = true;
  made.value = std::bit_cast<int64_t>(value);
  return made;
}

VectorOperand integer(int64_t value) {
  VectorOperand made;
  made.value = value;
  return made;
}

class Elementwise : public testing::Test {
 protected:
  void binary(BinaryFn fn, const Tile& dst, const VectorOperand& a, const VectorOperand& b) {
    elementwise(context_, Opcode::v_binary, static_cast<uint8_t>(fn), dst, {a, b, {}});
  }
  void unary(UnaryFn fn, const Tile& dst, const VectorOperand& a) {
    elementwise(context_, Opcode::v_unary, static_cast<uint8_t>(fn), dst, {a, {}, {}});
  }
  void ternary(TernaryFn fn, const Tile& dst, const VectorOperand& a, const VectorOperand& b,
               const VectorOperand& c) {
    elementwise(context_, Opcode::v_ternary, static_cast<uint8_t>(fn), dst, {a, b, c});
  }
  TypedTile random_tile(DType dtype, int64_t rows, int64_t cols) {
    std::vector<double> values(static_cast<size_t>(rows * cols));
    for (double& x : values) x = static_cast<double>(generator_() % 15) - 7;
    return typed_tile(dtype, rows, cols, values);
  }

  EngineContext context_{vector_table(), {}};
  std::mt19937 generator_{11};
};

// Every pair of operand shapes and every pair of types, in sizes below and above a chunk.
TEST_F(Elementwise, BroadcastsAndConverts) {
  const DType types[] = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64,
                         DType::i32, DType::i16, DType::i8,  DType::u8,   DType::b8};
  for (DType a_type : types) {
    for (DType b_type : types) {
      for (int shape = 0; shape < 16; ++shape) {
        const int64_t rows = 1 + generator_() % 5;
        const int64_t cols = generator_() % 8 == 0 ? 1500 : 1 + generator_() % 40;
        const int64_t a_rows = shape & 1 ? 1 : rows;
        const int64_t a_cols = shape & 2 ? 1 : cols;
        const int64_t b_rows = shape & 4 ? 1 : rows;
        const int64_t b_cols = shape & 8 ? 1 : cols;
        const int64_t r = std::max(a_rows, b_rows);
        const int64_t c = std::max(a_cols, b_cols);
        const TypedTile a = random_tile(a_type, a_rows, a_cols);
        const TypedTile b = random_tile(b_type, b_rows, b_cols);
        std::vector<double> out(static_cast<size_t>(r * c));
        binary(BinaryFn::sub, tile_of(out, r, c), operand(a.tile), operand(b.tile));
        std::vector<uint8_t> less(out.size());
        binary(BinaryFn::lt, tile_of(less, r, c, DType::b8), operand(a.tile), operand(b.tile));
        for (int64_t i = 0; i < r; ++i) {
          for (int64_t j = 0; j < c; ++j) {
            const double x = a.values[(a_rows == 1 ? 0 : i) * a_cols + (a_cols == 1 ? 0 : j)];
            const double y = b.values[(b_rows == 1 ? 0 : i) * b_cols + (b_cols == 1 ? 0 : j)];
            ASSERT_EQ(out[i * c + j], x - y) << name(a_type) << " " << name(b_type) << " " << shape;
            ASSERT_EQ(less[i * c + j], x < y);
          }
        }
      }
    }
  }
}

TEST_F(Elementwise, SourcesMayHaveGapsBetweenRows) {
  std::vector<float> data(100);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  Tile view = tile_of(data, 5, 7);
  view.ld = 20;
  std::vector<float> out(35);
  binary(BinaryFn::mul, tile_of(out, 5, 7), operand(view), real(2));
  std::vector<int64_t> copied(35);
  unary(UnaryFn::copy, tile_of(copied, 5, 7), operand(view));
  Tile column = tile_of(data, 5, 1);
  column.ld = 20;
  std::vector<double> sum(35);
  binary(BinaryFn::add, tile_of(sum, 5, 7), operand(view), operand(column));
  for (int r = 0; r < 5; ++r) {
    for (int c = 0; c < 7; ++c) {
      EXPECT_EQ(out[r * 7 + c], 2 * data[r * 20 + c]);
      EXPECT_EQ(copied[r * 7 + c], r * 20 + c);
      EXPECT_EQ(sum[r * 7 + c], data[r * 20 + c] + data[r * 20]);
    }
  }
}

TEST_F(Elementwise, RunsInPlace) {
  TypedTile a = random_tile(DType::bf16, 3, 3000);
  binary(BinaryFn::add, a.tile, operand(a.tile), operand(a.tile));
  const std::vector<double> got = values_of(a.tile);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], 2 * a.values[i]);
}

TEST_F(Elementwise, TheWidestTypeDecides) {
  // Integers above 2^24 survive unless something floating takes part.
  std::vector<int64_t> a = {(int64_t{1} << 24) + 1};
  std::vector<int64_t> out(1);
  binary(BinaryFn::add, tile_of(out, 1, 1), operand(tile_of(a, 1, 1)), integer(0));
  EXPECT_EQ(out[0], a[0]);
  std::vector<float> narrow(1);
  binary(BinaryFn::add, tile_of(narrow, 1, 1), operand(tile_of(a, 1, 1)), real(0));
  EXPECT_EQ(narrow[0], 0x1p24f);
  std::vector<double> wide(1);
  binary(BinaryFn::add, tile_of(wide, 1, 1), operand(tile_of(a, 1, 1)), real(0.5));
  EXPECT_EQ(wide[0], 0x1p24 + 1.5);
  // Comparisons go by their sources, whatever the destination is.
  std::vector<int64_t> b = {int64_t{1} << 24};
  binary(BinaryFn::eq, tile_of(narrow, 1, 1), operand(tile_of(a, 1, 1)), operand(tile_of(b, 1, 1)));
  EXPECT_EQ(narrow[0], 0);
  // Small integers wrap in their own type.
  std::vector<int8_t> bytes = {127};
  binary(BinaryFn::add, tile_of(bytes, 1, 1), operand(tile_of(bytes, 1, 1)), integer(1));
  EXPECT_EQ(bytes[0], -128);
}

TEST_F(Elementwise, WhereTestsItsConditionInItsOwnType) {
  std::vector<float> condition = {0.25f, 0.0f, -0.0f, NAN};
  std::vector<int64_t> out(4);
  ternary(TernaryFn::where, tile_of(out, 1, 4), operand(tile_of(condition, 1, 4)), real(1),
          real(2));
  EXPECT_EQ(out, (std::vector<int64_t>{1, 2, 2, 1}));
  std::vector<double> tiny = {1e-300, 0};
  std::vector<float> narrow(2);
  ternary(TernaryFn::where, tile_of(narrow, 1, 2), operand(tile_of(tiny, 1, 2)), real(1), real(2));
  EXPECT_EQ(narrow, (std::vector<float>{1, 2}));
  std::vector<int64_t> big = {(int64_t{1} << 53) + 1};
  std::vector<int64_t> chosen(1);
  std::vector<uint8_t> yes = {1};
  ternary(TernaryFn::where, tile_of(chosen, 1, 1), operand(tile_of(yes, 1, 1, DType::b8)),
          operand(tile_of(big, 1, 1)), integer(0));
  EXPECT_EQ(chosen[0], big[0]);
}

TEST_F(Elementwise, ComplementOfTruthIsNegation) {
  std::vector<uint8_t> truth = {0, 1, 1};
  unary(UnaryFn::bitnot, tile_of(truth, 1, 3, DType::b8), operand(tile_of(truth, 1, 3, DType::b8)));
  EXPECT_EQ(truth, (std::vector<uint8_t>{1, 0, 0}));
}

TEST_F(Elementwise, ScalarsAlone) {
  std::vector<float> out(1);
  binary(BinaryFn::pow, tile_of(out, 1, 1), real(2), real(0.5));
  EXPECT_FLOAT_EQ(out[0], std::sqrt(2.0f));
  unary(UnaryFn::exp, tile_of(out, 1, 1), real(1));
  EXPECT_FLOAT_EQ(out[0], std::exp(1.0f));
}

TEST_F(Elementwise, MissingFormsAreErrors) {
  std::vector<int64_t> a = {4};
  std::vector<float> f = {4};
  EXPECT_THROW(unary(UnaryFn::exp, tile_of(a, 1, 1), operand(tile_of(a, 1, 1))), MachineError);
  EXPECT_THROW(unary(UnaryFn::bitnot, tile_of(f, 1, 1), operand(tile_of(f, 1, 1))), MachineError);
  EXPECT_THROW(
      binary(BinaryFn::gcd, tile_of(f, 1, 1), operand(tile_of(f, 1, 1)), operand(tile_of(f, 1, 1))),
      MachineError);
}

}  // namespace
}  // namespace npu::sim

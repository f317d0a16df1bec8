#include "sim/engine/jit/fused_code.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "sim/engine/chain.h"
#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

std::vector<double> difficult_values(std::mt19937& generator, size_t count) {
  using Limits = std::numeric_limits<float>;
  const double special[] = {0.0,
                            -0.0,
                            Limits::infinity(),
                            -Limits::infinity(),
                            Limits::quiet_NaN(),
                            1e-40,
                            -1e-42,
                            Limits::max(),
                            Limits::min(),
                            0.5,
                            -1.5,
                            2.5,
                            88.7,
                            -104};
  std::vector<double> values(count);
  std::normal_distribution<double> normal(0, 3);
  for (double& value : values) {
    value = generator() % 4 == 0 ? special[generator() % std::size(special)] : normal(generator);
  }
  return values;
}

// The tests below are left out where the host has no code to run, and nowhere else.
TEST(FusedCode, IsThereWhereverTheHostRunsIt) {
  for (const char* name : {"avx2", "avx512"}) {
    const VectorTable* table = vector_table(name);
    if (table == nullptr) continue;
    EXPECT_EQ(table->fuses, table == vector_table("avx512"));
    EXPECT_EQ((EngineContext{*table, {}}.fuse), table->fuses);
  }
}

// Every function that can be compiled gives the same compiled, alone or after a conversion, as from
// the table, for every type, streamed or not, and for whole registers and their tails.
TEST(FusedCode, EqualsTheTablesFunctions) {
  EngineContext compiled{vector_table(), {}};
  if (!compiled.fuse) GTEST_SKIP() << "this host has no AVX-512";
  EngineContext table{vector_table(), {}};
  table.fuse = false;
  std::mt19937 generator(3);
  int functions = 0;
  for (const Opcode op : {Opcode::v_unary, Opcode::v_binary, Opcode::v_ternary}) {
    for (int fn = 0; fn < fn_count(op); ++fn) {
      if (!fuses(op, static_cast<uint8_t>(fn))) continue;
      ++functions;
      for (const DType in : {DType::f32, DType::bf16, DType::f16}) {
        for (const DType out : {DType::f32, DType::bf16, DType::f16, DType::b8}) {
          const int64_t rows = 1 + generator() % 3;
          const int64_t cols = 1 + generator() % 100;
          std::array<TypedTile, 3> source;
          std::array<VectorOperand, 3> operands;
          for (int i = 0; i < operand_count(op); ++i) {
            const bool column = generator() % 4 == 0 && i > 0;
            const int64_t width = column ? 1 : cols;
            source[i] = typed_tile(in, rows, width,
                                   difficult_values(generator, static_cast<size_t>(rows * width)));
            operands[i] = generator() % 5 == 0 && i > 0 ? scalar(0.75) : operand_of(source[i].tile);
          }
          const std::vector<double> zeros(static_cast<size_t>(rows * cols));
          const TypedTile got = typed_tile(out, rows, cols, zeros);
          const TypedTile wanted = typed_tile(out, rows, cols, zeros);
          ChainLink link{op, static_cast<uint8_t>(fn), operands, got.tile, generator() % 2 == 0};
          run_chain(compiled, {&link, 1});
          link.dst = wanted.tile;
          link.stream = false;
          run_chain(table, {&link, 1});
          expect_same(got.tile, wanted.tile,
                      std::string(fn_name(op, link.fn)) + " of " + std::string(name(in)) + " to " +
                          std::string(name(out)));
        }
      }
    }
  }
  EXPECT_GT(functions, 30);
}

// A NaN becomes the quiet one without sign and payload, whatever lies beside it.
TEST(FusedCode, NansInBf16DoNotDependOnTheirNeighbours) {
  EngineContext compiled{vector_table(), {}};
  if (!compiled.fuse) GTEST_SKIP() << "this host has no AVX-512";
  for (const double neighbour : {1.0, 1e-40}) {
    std::vector<double> values(32, 1.0);
    values[3] = -std::numeric_limits<double>::quiet_NaN();
    values[20] = std::numeric_limits<double>::quiet_NaN();
    values[5] = values[22] = neighbour;
    const TypedTile x = typed_tile(DType::f32, 1, 32, values);
    const TypedTile y = typed_tile(DType::bf16, 1, 32, std::vector<double>(32));
    const ChainLink link{Opcode::v_binary,
                         static_cast<uint8_t>(BinaryFn::mul),
                         {operand_of(x.tile), scalar(1)},
                         y.tile};
    run_chain(compiled, {&link, 1});
    const auto* bits = reinterpret_cast<const uint16_t*>(y.bytes.data());
    EXPECT_EQ(bits[3], 0x7fc0);
    EXPECT_EQ(bits[20], 0x7fc0);
    EXPECT_EQ(bits[4], 0x3f80);
  }
}

// x[i] + b for every i, and the sum again for each further step.
FusedProgram sums(int steps) {
  FusedProgram program;
  program.memories = 2;
  program.memory = {DType::f32, DType::f32};
  program.broadcasts = 1;
  program.steps = steps;
  for (int s = 0; s < steps; ++s) {
    FusedStep& step = program.step[s];
    step.op = Opcode::v_binary;
    step.fn = static_cast<uint8_t>(BinaryFn::add);
    step.operands[0] = s == 0 ? FusedOperand{FusedOperand::kMemory, 0}
                              : FusedOperand{FusedOperand::kStep, static_cast<uint8_t>(s - 1)};
    step.operands[1] = {FusedOperand::kBroadcast, 0};
  }
  program.step[steps - 1].result = 1;
  return program;
}

TEST(FusedCode, WritesTheLineAndNothingBeside) {
  if (!vector_table().fuses) GTEST_SKIP() << "this host has no AVX-512";
  FusedCache cache;
  const FusedFunction function = cache.find(sums(3));
  ASSERT_NE(function, nullptr);
  for (const int64_t n : {0, 1, 15, 16, 17, 31, 32, 100}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
    std::vector<float> y(static_cast<size_t>(n) + 32, -1);
    const float b = 0.5;
    FusedLine line;
    line.memory[0] = reinterpret_cast<std::byte*>(x.data());
    line.memory[1] = reinterpret_cast<std::byte*>(y.data());
    line.broadcast[0] = &b;
    line.elements = n;
    function(&line);
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(y[i], static_cast<float>(i) + 1.5f);
    for (size_t i = static_cast<size_t>(n); i < y.size(); ++i) EXPECT_EQ(y[i], -1);
  }
}

TEST(FusedCode, IsCompiledOnce) {
  if (!vector_table().fuses) GTEST_SKIP() << "this host has no AVX-512";
  FusedCache cache;
  const FusedFunction three = cache.find(sums(3));
  EXPECT_NE(cache.find(sums(4)), three);
  EXPECT_EQ(cache.find(sums(3)), three);
}

// More values at a time than there are registers.
TEST(FusedCode, TooManyValuesAreRefused) {
  if (!vector_table().fuses) GTEST_SKIP() << "this host has no AVX-512";
  FusedProgram program;
  program.memories = kFusedMemories;
  program.memory.fill(DType::f32);
  program.broadcasts = kFusedBroadcasts;
  const auto at = [](FusedOperand::Kind kind, int index) {
    return FusedOperand{kind, static_cast<uint8_t>(index)};
  };
  for (int i = 0; i < 10; ++i) {
    FusedStep& step = program.step[program.steps++];
    step.op = Opcode::v_binary;
    step.fn = static_cast<uint8_t>(BinaryFn::add);
    step.operands = {at(FusedOperand::kMemory, i), at(FusedOperand::kBroadcast, i % 8)};
  }
  // The table of erf takes ten registers.
  program.step[0].op = Opcode::v_unary;
  program.step[0].fn = static_cast<uint8_t>(UnaryFn::erf);
  program.step[0].operands[1] = {};
  // All of them, and the sources again.
  for (int i = 0; i < 5; ++i) {
    FusedStep& step = program.step[program.steps++];
    step.op = Opcode::v_ternary;
    step.fn = static_cast<uint8_t>(TernaryFn::fma);
    step.operands = {at(FusedOperand::kStep, i), at(FusedOperand::kStep, i + 5),
                     at(FusedOperand::kMemory, 9 - i)};
  }
  program.step[program.steps - 1].result = 10;
  FusedCache cache;
  EXPECT_EQ(cache.find(program), nullptr);
}

}  // namespace
}  // namespace npu::sim

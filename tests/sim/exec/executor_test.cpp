#include "sim/exec/executor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "tests/sim/exec/run_program.h"

namespace npu::sim {
namespace {

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& x : values) x = normal(generator);
  return values;
}

constexpr std::string_view kAdd = R"(
.kernel add
.arg a ptr
.arg b ptr
.arg y ptr
.arg n i64
.tile ta f32 1024 x2
.tile tb f32 1024 x2
.tile ty f32 1024 x2
s.mul r0, %pid, 1024
s.sub r1, n, r0
s.min r1, r1, 1024
d.load ta, a[r0], (r1):(1)
d.load tb, b[r0], (r1):(1)
v.add ty, ta, tb
d.store y[r0], ty, (r1):(1)
exit
)";

TEST(Executor, AddsOverAGridAndCounts) {
  for (int threads : {1, 2, 3}) {
    std::vector<float> a = random_floats(100000, 1);
    std::vector<float> b = random_floats(100000, 2);
    std::vector<float> y(a.size());
    const Counters counters = run_program(
        kAdd, {pointer_to(a), pointer_to(b), pointer_to(y), Arg::integer(100000)}, 98, threads);
    for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], a[i] + b[i]);
    EXPECT_EQ(counters.launches, 1u);
    EXPECT_EQ(counters.vector_instructions, 98u);
    EXPECT_EQ(counters.dma_instructions, 3 * 98u);
    EXPECT_EQ(counters.dma_read_bytes, 800000u);
    EXPECT_EQ(counters.dma_write_bytes, 400000u);
    EXPECT_EQ(counters.scalar_instructions, 98 * 4u);
  }
}

// Nothing may alias here: the output is one of the inputs.
TEST(Executor, WorksInPlace) {
  std::vector<float> a(5000, 1.5f);
  run_program(kAdd, {pointer_to(a), pointer_to(a), pointer_to(a), Arg::integer(5000)}, 5, 2);
  for (float x : a) ASSERT_EQ(x, 3.0f);
}

constexpr std::string_view kMatmul = R"(
.kernel matmul
.arg a ptr
.arg b ptr
.arg y ptr
.arg m i64
.arg n i64
.arg k i64
.tile ta f32 1024 x2
.tile tb f32 1024 x2
.tile acc f32 1024
s.add r0, n, 31
s.div r0, r0, 32
s.div r1, %pid, r0
s.mod r2, %pid, r0
s.mul r1, r1, 32
s.mul r2, r2, 32
s.sub r3, m, r1
s.min r3, r3, 32
s.sub r4, n, r2
s.min r4, r4, 32
v.fill acc, 0.0, (r3, r4)
s.add r5, k, 31
s.div r5, r5, 32
loop r6, r5
  s.mul r7, r6, 32
  s.sub r8, k, r7
  s.min r8, r8, 32
  s.mul r9, r1, k
  s.add r9, r9, r7
  d.load ta, a[r9], (r3 | r8):(k | 1)
  s.mul r10, r7, n
  s.add r10, r10, r2
  d.load tb, b[r10], (r8 | r4):(n | 1)
  m.mma acc, ta, tb
endloop
s.mul r11, r1, n
s.add r11, r11, r2
d.store y[r11], acc, (r3 | r4):(n | 1)
exit
)";

TEST(Executor, MatrixProductIsTheSameOnAnyNumberOfThreads) {
  constexpr int64_t kM = 100;
  constexpr int64_t kN = 70;
  constexpr int64_t kK = 90;
  std::vector<float> a = random_floats(kM * kK, 3);
  std::vector<float> b = random_floats(kK * kN, 4);
  std::vector<float> first;
  for (int threads : {1, 2, 3}) {
    std::vector<float> y(kM * kN);
    const Counters counters = run_program(kMatmul,
                                          {pointer_to(a), pointer_to(b), pointer_to(y),
                                           Arg::integer(kM), Arg::integer(kN), Arg::integer(kK)},
                                          4 * 3, threads);
    EXPECT_EQ(counters.macs, static_cast<uint64_t>(kM * kN * kK));
    EXPECT_GT(counters.padded_macs, 0u);
    EXPECT_EQ(counters.matrix_instructions, 36u);
    if (first.empty()) first = y;
    ASSERT_EQ(y, first);
  }
  for (int64_t i = 0; i < kM; ++i) {
    for (int64_t j = 0; j < kN; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < kK; ++p) sum += double{a[i * kK + p]} * b[p * kN + j];
      ASSERT_NEAR(first[i * kN + j], sum, 1e-4);
    }
  }
}

TEST(Executor, LowestFailingProgramIsReported) {
  constexpr std::string_view text = R"(
.kernel stray
.arg x ptr
.tile t f32 16
s.mul r0, %pid, 16
d.load t, x[r0], (16):(1)
exit
)";
  std::vector<float> x(16 * 20);
  for (int threads : {1, 3}) {
    expect_error(ErrorKind::kOutOfBounds, {"kernel 'stray'", "program 20,", "d.load", "0x1000000"},
                 text, {pointer_to(x)}, 500, threads);
  }
}

TEST(Executor, DisabledEngineIsNamed) {
  std::vector<float> a(8);
  expect_error(ErrorKind::kDisabledEngine, {"kernel 'add'", "vector"}, kAdd,
               {pointer_to(a), pointer_to(a), pointer_to(a), Arg::integer(8)}, 1, 1,
               1 << static_cast<int>(Engine::vector));
}

TEST(Executor, ManySmallLaunchesOnSeveralThreads) {
  const Machine machine = load_machine("n1");
  const Program program = assemble(kAdd);
  Executor executor(machine, 3);
  std::vector<float> a(4096, 1.0f);
  std::vector<float> b(4096, 2.0f);
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> y(4096);
    executor.run({&program, 4, {pointer_to(a), pointer_to(b), pointer_to(y), Arg::integer(4096)}});
    ASSERT_EQ(y[0], 3.0f);
    ASSERT_EQ(y[4095], 3.0f);
  }
}

TEST(Executor, AtomicsCommitInProgramOrder) {
  constexpr std::string_view text = R"(
.kernel tally
.arg y ptr
.arg x ptr
.tile t bf16 4
s.mul r0, %pid, 4
d.load t, x[r0], (4):(1)
d.store.add y[0], t, (4):(1)
exit
)";
  // bf16: 256 + 1 rounds back to 256, 1 + 1 + ... + 256 does not lose the ones before.
  std::vector<uint16_t> x;
  for (int i = 0; i < 64; ++i) x.insert(x.end(), 4, i < 63 ? 0x3f80 : 0x4380);
  for (int threads : {1, 3}) {
    std::vector<uint16_t> y(4);
    run_program(text, {pointer_to(y), pointer_to(x)}, 64, threads);
    for (uint16_t value : y) EXPECT_EQ(value, 0x43a0);  // 63 + 256 = 319, to even: 320
  }
}

TEST(Executor, ReadsEveryKindOfAccess) {
  constexpr std::string_view text = R"(
.kernel walk
.arg x ptr
.arg y ptr
.arg r i64
.arg c i64
.arg rs i64
.arg cs i64
.tile t f32 4096
d.load t, x[0], (r | c):(rs | cs)
v.add t, t, 0.0
d.store y[0], t, (r | c):(c | 1)
exit
)";
  std::vector<float> x(6000);
  std::iota(x.begin(), x.end(), 0.0f);
  struct Case {
    int64_t first, rows, cols, row_stride, col_stride;
  };
  const Case cases[] = {{0, 30, 40, 40, 1},  {0, 30, 40, 1, 30},      {5, 30, 40, 100, 1},
                        {0, 30, 40, 3, 101}, {2000, 30, 40, -40, 1},  {2000, 30, 40, 40, -1},
                        {7, 30, 40, 0, 1},   {7, 30, 40, 1, 0},       {7, 3, 4, 0, 0},
                        {9, 1, 1, 5, 5},     {5999, 60, 10, -1, -70}, {1, 33, 17, 2, 70}};
  for (const Case& test : cases) {
    std::vector<float> y(static_cast<size_t>(test.rows * test.cols));
    run_program(text, {pointer_to(x, test.first), pointer_to(y), Arg::integer(test.rows),
                       Arg::integer(test.cols), Arg::integer(test.row_stride),
                       Arg::integer(test.col_stride)});
    for (int64_t r = 0; r < test.rows; ++r) {
      for (int64_t c = 0; c < test.cols; ++c) {
        ASSERT_EQ(y[r * test.cols + c], x[test.first + r * test.row_stride + c * test.col_stride]);
      }
    }
  }
}

TEST(Executor, StoresWithFiveDimensions) {
  constexpr std::string_view text = R"(
.kernel permute
.arg x ptr
.arg y ptr
.tile t i16 720
d.load t, x[0], (2, 3 | 4, 5, 6):(360, 120 | 30, 6, 1)
d.store y[0], t, (2, 3, 4 | 5, 6):(1, 2, 6 | 24, 120)
exit
)";
  std::vector<int16_t> x(720);
  std::iota(x.begin(), x.end(), int16_t{0});
  std::vector<int16_t> y(720);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 3; ++b) {
      for (int c = 0; c < 4; ++c) {
        for (int d = 0; d < 5; ++d) {
          for (int e = 0; e < 6; ++e) {
            ASSERT_EQ(y[a + 2 * b + 6 * c + 24 * d + 120 * e],
                      x[a * 360 + b * 120 + c * 30 + d * 6 + e]);
          }
        }
      }
    }
  }
}

// A loaded tile may alias memory with gaps between its rows; everything that works on tiles must
// see the same elements.
TEST(Executor, AliasedTilesBehaveLikeCopies) {
  constexpr std::string_view text = R"(
.kernel views
.arg x ptr
.arg y ptr
.tile t f32 64
.tile u f32 64
.tile v f32 64
.tile s f32 64
d.load t, x[0], (4 | 6):(10 | 1)
v.reshape t, (6, 4)
d.store y[0], t, (24):(1)
d.load u, x[0], (4 | 6):(10 | 1)
v.fill s, 7.0, (1, 2)
v.insert u, s, 1, 1
d.store y[24], u, (4, 6):(6, 1)
d.load v, x[0], (4 | 6):(10 | 1)
d.store y[48], v, (24):(1)
v.transpose s, v
d.store y[72], s, (24):(1)
exit
)";
  std::vector<float> x(40);
  std::iota(x.begin(), x.end(), 0.0f);
  std::vector<float> y(96);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (int r = 0; r < 4; ++r) {
    for (int c = 0; c < 6; ++c) {
      const float expected = x[r * 10 + c];
      EXPECT_EQ(y[r * 6 + c], expected);
      EXPECT_EQ(y[24 + r * 6 + c], r == 1 && (c == 1 || c == 2) ? 7 : expected);
      EXPECT_EQ(y[48 + r * 6 + c], expected);
      EXPECT_EQ(y[72 + c * 4 + r], expected);
    }
  }
  EXPECT_EQ(x[11], 11);  // the insert went to a copy
}

// Sources that their own instruction overwrites.
TEST(Executor, DestinationsMayBeSources) {
  constexpr std::string_view text = R"(
.kernel self
.arg x ptr
.arg y ptr
.tile t f32 64
.tile u f32 64
d.load t, x[0], (4 | 1):(1 | 1)
v.add t, t, 0.0
d.load u, x[0], (1 | 8):(1 | 1)
v.mul t, t, u
v.transpose t, t
d.store y[0], t, (8 | 4):(4 | 1)
v.reduce.sum t, t
v.expand t, t, (8, 2)
v.slice t, t, 1, 0, (3, 2)
d.store y[32], t, (6):(1)
exit
)";
  std::vector<float> x(8);
  std::iota(x.begin(), x.end(), 1.0f);
  std::vector<float> y(38);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (int c = 0; c < 8; ++c) {
    for (int r = 0; r < 4; ++r) EXPECT_EQ(y[c * 4 + r], x[r] * x[c]);
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(y[32 + i], 10 * x[1 + i / 2]);
}

TEST(Executor, GathersAndScatters) {
  constexpr std::string_view text = R"(
.kernel rows
.arg x ptr
.arg y ptr
.arg i ptr
.tile idx i64 8
.tile t f32 64
d.load idx, i[0], (5):(1)
d.gather.masked t, x[1], idx, 10, (3):(2)
d.store y[0], t, (5 | 3):(3 | 1)
d.scatter.masked y[20], idx, 4, t, (3):(1)
d.scatter.masked.add y[60], idx, 1, t, (3):(1)
exit
)";
  std::vector<float> x(60);
  std::iota(x.begin(), x.end(), 0.0f);
  std::vector<float> y(80, 0.0f);
  std::vector<int64_t> indices = {4, -1, 0, 2, 2};
  run_program(text, {pointer_to(x), pointer_to(y), pointer_to(indices)});
  std::vector<float> sums(20, 0.0f);
  for (int r = 0; r < 5; ++r) {
    for (int c = 0; c < 3; ++c) {
      const float value = indices[r] < 0 ? 0 : x[1 + indices[r] * 10 + c * 2];
      EXPECT_EQ(y[r * 3 + c], value);
      if (indices[r] >= 0) {
        EXPECT_EQ(y[20 + indices[r] * 4 + c], value);
        sums[indices[r] + c] += value;
      }
    }
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(y[60 + i], sums[i]);
}

TEST(Executor, IndicesAreChecked) {
  constexpr std::string_view text = R"(
.kernel lookup
.arg x ptr
.arg i ptr
.tile idx i64 8
.tile t f32 64
d.load idx, i[0], (1):(1)
d.gather t, x[0], idx, 10, (10):(1)
exit
)";
  std::vector<float> x(50);
  for (int64_t index : {int64_t{5}, int64_t{-1}, int64_t{1} << 60}) {
    std::vector<int64_t> indices = {index};
    expect_error(ErrorKind::kOutOfBounds, {"kernel 'lookup'", "d.gather", std::to_string(index)},
                 text, {pointer_to(x), pointer_to(indices)});
  }
  std::vector<int64_t> indices = {4};
  run_program(text, {pointer_to(x), pointer_to(indices)});
}

TEST(Executor, FillsMemory) {
  constexpr std::string_view text = R"(
.kernel fills
.arg h ptr
.arg b ptr
.arg w ptr
.arg n i64
d.fill.f16 h[1], 1.5, (2, 3):(8, 2)
d.fill.b8 b[0], 5, (n):(1)
d.fill.i64 w[0], -3, (4):(2)
exit
)";
  std::vector<uint16_t> h(16, 9);
  std::vector<uint8_t> b(10, 9);
  std::vector<int64_t> w(8, 9);
  run_program(text, {pointer_to(h), pointer_to(b), pointer_to(w), Arg::integer(7)});
  for (size_t i = 0; i < h.size(); ++i) {
    const bool touched = i % 2 == 1 && (i % 8) < 6;
    EXPECT_EQ(h[i], touched ? 0x3e00 : 9) << i;
  }
  for (size_t i = 0; i < b.size(); ++i) EXPECT_EQ(b[i], i < 7 ? 1 : 9);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_EQ(w[i], i % 2 == 0 ? -3 : 9);
}

TEST(Executor, IntegerDivisionByZeroIsDefined) {
  for (const bool scalar : {false, true}) {
    for (const std::string fn : {"floordiv", "truncdiv", "mod", "fmod"}) {
      SCOPED_TRACE(fn);
      const std::string text =
          ".kernel ratio\n.arg x ptr\n.arg y ptr\n.tile a i64 8\n"
          ".tile z i64 8\n.tile n i32 8\n"
          "v.iota a, -4, 1, 0, (1, 8)\nd.load z, x[0], (8):(1)\nv." +
          fn + " n, a, " + (scalar ? "0" : "z") + "\nd.store y[0], n, (8):(1)\n";
      std::vector<int64_t> x(8, 0);
      std::vector<int32_t> y(8, 99);
      run_program(text, {pointer_to(x), pointer_to(y)});
      for (int32_t i = 0; i < 8; ++i) {
        EXPECT_EQ(y[static_cast<size_t>(i)], fn.ends_with("div") ? -1 : i - 4) << i;
      }
    }
  }
}

TEST(Executor, LargeLaunchesStoreEveryElement) {
  constexpr std::string_view text = R"(
.kernel count_up
.arg y ptr
.arg n i64
.tile t i32 65536
s.mul r0, %pid, 65536
s.sub r1, n, r0
s.min r1, r1, 65536
v.iota t, r0, 1, 0, (1, r1)
d.store y[r0], t, (r1):(1)
exit
)";
  constexpr int64_t kCount = (int64_t{49} << 18) + 17;
  std::vector<int32_t> y(kCount + 3, -7);
  run_program(text, {pointer_to(y, 1), Arg::integer(kCount)}, (kCount + 65535) / 65536, 2);
  EXPECT_EQ(y[0], -7);
  EXPECT_EQ(y[kCount + 1], -7);
  int64_t wrong = 0;
  for (int64_t i = 0; i < kCount; ++i) wrong += y[static_cast<size_t>(i) + 1] != i;
  EXPECT_EQ(wrong, 0);
}

TEST(Executor, FunctionsWithoutAnIntegerFormSaySo) {
  constexpr std::string_view text = R"(
.kernel wrong
.tile t i64 8
v.fill t, 1, (1, 8)
v.exp t, t
exit
)";
  expect_error(ErrorKind::kUnimplemented, {"kernel 'wrong'", "v.exp"}, text, {});
}

}  // namespace
}  // namespace npu::sim

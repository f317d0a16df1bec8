// Element-wise instructions are computed together and write what is stored straight to memory:
// nobody may notice.
#include "sim/exec/core.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "tests/sim/exec/run_program.h"

namespace npu::sim {
namespace {

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

TEST(Core, ATileMayBeStoredTwice) {
  constexpr std::string_view text = R"(
.kernel twice
.arg x ptr
.arg y ptr
.tile t f32 3000
d.load t, x[0], (3000):(1)
v.mul t, t, 2.0
d.store y[0], t, (3000):(1)
d.store y[3000], t, (3000):(1)
v.add t, t, 1.0
d.store y[6000], t, (3000):(1)
exit
)";
  std::vector<float> x = counting(3000);
  std::vector<float> y(9000);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(y[i], 2 * x[i]);
    ASSERT_EQ(y[3000 + i], 2 * x[i]);
    ASSERT_EQ(y[6000 + i], 2 * x[i] + 1);
  }
}

TEST(Core, ALaterStoreWins) {
  constexpr std::string_view text = R"(
.kernel overlap
.arg x ptr
.arg y ptr
.tile t f32 3000
.tile u f32 3000
d.load t, x[0], (3000):(1)
v.mul u, t, 2.0
v.neg t, t
d.store y[0], u, (3000):(1)
d.store y[100], t, (3000):(1)
exit
)";
  std::vector<float> x = counting(3000);
  std::vector<float> y(3100);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], i < 100 ? 2 * x[i] : -x[i - 100]);
}

// The output overlaps the inputs, shifted: what was loaded before stays what it was.
TEST(Core, StoresMayOverlapWhatWasLoaded) {
  constexpr std::string_view text = R"(
.kernel shift
.arg x ptr
.arg y ptr
.tile t f32 3000
.tile u f32 3000
d.load t, x[0], (3000):(1)
v.add u, t, 1.0
v.mul u, u, t
d.store y[1], u, (3000):(1)
exit
)";
  const std::vector<float> before = counting(3001);
  std::vector<float> x = before;
  run_program(text, {pointer_to(x), pointer_to(x)});
  EXPECT_EQ(x[0], 1);
  for (size_t i = 0; i < 3000; ++i) ASSERT_EQ(x[i + 1], (before[i] + 1) * before[i]);
}

TEST(Core, LoadsSeeWhatWasStored) {
  constexpr std::string_view text = R"(
.kernel reread
.arg x ptr
.arg y ptr
.tile t f32 64
.tile u f32 64
d.load t, x[0], (64):(1)
v.add u, t, 1.0
d.store y[0], u, (64):(1)
s.load.f32 r0, y[5]
d.load t, y[0], (64):(1)
v.add u, t, r0
d.store y[64], u, (64):(1)
exit
)";
  std::vector<float> x = counting(64);
  std::vector<float> y(128);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[64 + i], x[i] + 1 + 7);
}

// Broadcast sources whose buffers later instructions overwrite.
TEST(Core, BroadcastSourcesKeepTheirValues) {
  constexpr std::string_view text = R"(
.kernel pinned
.arg x ptr
.arg y ptr
.tile t f32 6000
.tile s f32 6000
.tile u f32 6000
d.load t, x[0], (60 | 100):(100 | 1)
v.reduce.sum.rows s, t
v.add u, t, s
v.mul s, u, 2.0
v.sub u, s, u
d.store y[0], u, (60 | 100):(100 | 1)
exit
)";
  std::vector<float> x(6000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7);
  std::vector<float> y(6000);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t c = 0; c < 100; ++c) {
    float sum = 0;
    for (size_t r = 0; r < 60; ++r) sum += x[r * 100 + c];
    for (size_t r = 0; r < 60; ++r) ASSERT_EQ(y[r * 100 + c], x[r * 100 + c] + sum);
  }
}

// A result is read after a loop, and in its next round.
TEST(Core, ResultsLiveAcrossLoops) {
  constexpr std::string_view text = R"(
.kernel loops
.arg x ptr
.arg y ptr
.tile t f32 2000
.tile u f32 2000
d.load t, x[0], (2000):(1)
v.mul u, t, 0.0
loop r0, 3
  v.add u, u, t
  s.mul r1, r0, 2000
  d.store y[r1], u, (2000):(1)
endloop
d.store y[6000], u, (2000):(1)
exit
)";
  std::vector<float> x = counting(2000);
  std::vector<float> y(8000);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t round = 0; round < 3; ++round) {
      ASSERT_EQ(y[round * 2000 + i], x[i] * static_cast<float>(round + 1));
    }
    ASSERT_EQ(y[6000 + i], 3 * x[i]);
  }
}

// Strided, reversed and repeated destinations.
// Views that begin at one address but differ in their rows' distance are different tiles.
TEST(Core, ViewsOfOneAddressKeepTheirRows) {
  constexpr std::string_view text = R"(
.kernel views
.arg x ptr
.arg y ptr
.tile a TYPE 4096
.tile b TYPE 4096
.tile s f32 4096
.tile t f32 4096
d.load a, x[0], (32 | 64):(64 | 1)
d.load b, x[0], (32 | 64):(128 | 1)
v.erfc s, a
v.add t, s, b
v.lerp t, t, a, b
d.store y[0], t, (32 | 64):(64 | 1)
exit
)";
  for (const std::string_view type : {"bf16", "i16"}) {
    std::string program(text);
    for (size_t at; (at = program.find("TYPE")) != std::string::npos;) program.replace(at, 4, type);
    std::vector<int16_t> x(4096);
    std::mt19937 generator(1);
    for (int16_t& value : x) value = static_cast<int16_t>(generator() % 0x4000);
    std::vector<float> y(2048);
    run_program(program, {pointer_to(x), pointer_to(y)});
    const auto number = [&](size_t i) {
      return type == "i16" ? static_cast<float>(x[i])
                           : std::bit_cast<float>(static_cast<uint32_t>(x[i]) << 16);
    };
    for (size_t r = 0; r < 32; ++r) {
      for (size_t c = 0; c < 64; ++c) {
        const float a = number(r * 64 + c);
        const float b = number(r * 128 + c);
        const float t = std::erfc(a) + b;
        const float expected = std::fabs(b) < 0.5f ? t + b * (a - t) : a - (a - t) * (1 - b);
        ASSERT_NEAR(y[r * 64 + c], expected, 1e-4f + 1e-5f * std::fabs(expected)) << type << r;
      }
    }
  }
}

// Results wider than what they are computed in.
TEST(Core, WideResultsOfNarrowArithmetic) {
  constexpr std::string_view text = R"(
.kernel wide
.arg x ptr
.arg y ptr
.tile a f32 4096
.tile t i64 4096
.tile u f32 4096
.tile w f32 4096
d.load a, x[0], (4096):(1)
v.copy t, a
v.add u, a, 0.25
v.add w, t, u
d.store y[0], w, (4096):(1)
exit
)";
  std::vector<float> x = counting(4096);
  std::vector<float> y(4096);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], 2 * x[i] + 0.25f);
}

// Reductions join what computes their rows; those of other rows do not.
TEST(Core, ReductionsKeepTheirShape) {
  constexpr std::string_view text = R"(
.kernel reductions
.arg x ptr
.arg y ptr
.tile wide f32 800
.tile narrow f32 40
.tile largest f32 8
.tile power f32 800
.tile sum f32 8
.tile other f32 8
d.load wide, x[0], (8 | 100):(100 | 1)
d.load narrow, x[3], (8 | 5):(100 | 1)
v.reduce.max largest, wide
v.sub power, wide, largest
v.exp power, power
v.reduce.sum sum, power
v.reduce.sum other, narrow
v.div power, power, sum
v.mul power, power, other
d.store y[0], power, (8 | 100):(100 | 1)
exit
)";
  std::vector<float> x(800);
  std::mt19937 generator(2);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(generator);
  std::vector<float> y(800);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t r = 0; r < 8; ++r) {
    const float* row = &x[r * 100];
    double sum = 0;
    double other = 0;
    for (size_t c = 0; c < 100; ++c) sum += std::exp(static_cast<double>(row[c]));
    for (size_t c = 3; c < 8; ++c) other += row[c];
    for (size_t c = 0; c < 100; ++c) {
      const double expected = std::exp(static_cast<double>(row[c])) / sum * other;
      ASSERT_NEAR(y[r * 100 + c], expected, 1e-5 * (1e-3 + std::fabs(expected))) << r << ' ' << c;
    }
  }
}

TEST(Core, StoresOfEveryLayout) {
  constexpr std::string_view text = R"(
.kernel layouts
.arg x ptr
.arg y ptr
.tile t f32 24
.tile u f32 24
.tile v bf16 24
d.load t, x[0], (4 | 6):(6 | 1)
v.add u, t, 1.0
d.store y[0], u, (4 | 6):(10 | 1)
v.add u, t, 2.0
d.store y[63], u, (24):(-1)
v.add u, t, 3.0
d.store y[64], u, (6 | 4):(4 | 1)
v.add u, t, 4.0
d.store y[88], u, (24):(0)
exit
)";
  std::vector<float> x = counting(24);
  std::vector<float> y(89);
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(y[i / 6 * 10 + i % 6], x[i] + 1);
    EXPECT_EQ(y[63 - i], x[i] + 2);
    EXPECT_EQ(y[64 + i], x[i] + 3);
  }
  EXPECT_EQ(y[6], 0);
  EXPECT_EQ(y[88], x[23] + 4);
}

TEST(Core, ErrorsNameTheirOwnInstruction) {
  constexpr std::string_view text = R"(
.kernel late
.arg y ptr
.tile t i64 8
.tile u f32 8
v.fill t, 1, (1, 8)
v.add u, t, 1.0
v.mul t, t, 2
v.exp t, t
d.store y[100], u, (8):(1)
exit
)";
  std::vector<float> y(8);
  expect_error(ErrorKind::kUnimplemented, {"instruction 3", "v.exp"}, text, {pointer_to(y)});
  std::string stored(text);
  stored.erase(stored.find("v.exp t, t\n"), 11);
  expect_error(ErrorKind::kOutOfBounds, {"instruction 3", "d.store"}, stored, {pointer_to(y)});
}

// Products along K wait for each other where their operands lie in memory; the bits are those of
// one after the other, which is what happens where the operands had to be copied.
TEST(Core, JoinedProductsGiveTheSameBits) {
  const auto run = [](std::string_view form, std::string_view type, int64_t m, int64_t n, int64_t k,
                      int64_t step, bool aliased) {
    const bool ta = form.find(".ta") != form.npos;
    const bool tb = form.find(".tb") != form.npos;
    const std::string text = fmt::format(R"(
.kernel products
.arg x ptr
.arg w ptr
.arg y ptr
.arg m i64
.arg n i64
.arg k i64
.arg step i64
.tile a {0} 65536 x2
.tile b {0} 65536 x2
.tile acc f32 65536
s.add r9, k, step
s.sub r9, r9, 1
s.div r9, r9, step
loop r0, r9
  s.mul r1, r0, step
  s.sub r2, k, r1
  s.min r2, r2, step
  s.mul r3, r1, {1}
  s.mul r4, r1, {2}
  d.load a, x[r3], {3}
  d.load b, w[r4], {4}
  s.eq r5, r0, 0
  if r5
    m.mma{5}.zero acc, a, b
  else
    m.mma{5} acc, a, b
  endif
endloop
d.store y[0], acc, (m | n):(n | 1)
exit
)",
                                         type, ta ? "m" : "1", tb ? "1" : "n",
                                         ta ? "(r2 | m):(m | 1)" : "(m | r2):(k | 1)",
                                         tb ? "(n | r2):(k | 1)" : "(r2 | n):(n | 1)", form);
    std::mt19937 generator(7);
    std::vector<uint32_t> x(static_cast<size_t>(m * k));
    std::vector<uint32_t> w(static_cast<size_t>(k * n) + static_cast<size_t>(m * n));
    for (auto* data : {&x, &w}) {
      for (uint32_t& bits : *data) {  // numbers in [1, 2) or their negatives, in either type
        bits = (generator() & 0x807f807f) | 0x3f803f80;
      }
    }
    std::vector<float> y(static_cast<size_t>(m * n));
    // Where the output shares the allocation of an input, that input must be copied.
    const Arg out = aliased ? pointer_to(y) : pointer_to(w, k * n);
    run_program(text, {pointer_to(x), pointer_to(w), out, Arg::integer(m), Arg::integer(n),
                       Arg::integer(k), Arg::integer(step)});
    std::vector<uint32_t> bits(y.size());
    std::memcpy(bits.data(),
                aliased ? static_cast<void*>(y.data()) : &w[static_cast<size_t>(k * n)],
                bits.size() * 4);
    return bits;
  };
  struct Size {
    int64_t m, n, k;
  };
  for (const std::string_view type : {"f32", "bf16"}) {
    for (const std::string_view form : {"", ".ta", ".tb", ".ta.tb"}) {
      for (const auto [m, n, k] : {Size{1, 1, 96},
                                   {1, 40, 64},
                                   {5, 17, 96},
                                   {16, 64, 96},
                                   {17, 3, 128},
                                   {33, 65, 70},
                                   {130, 48, 200},
                                   {40, 280, 96},
                                   {12, 31, 1100}}) {
        const auto expected = run(form, type, m, n, k, 32, false);
        EXPECT_EQ(run(form, type, m, n, k, 32, true), expected)
            << type << form << " " << m << " x " << k << " x " << n;
        // Where one register is all there is to a row, sums go by steps.
        if (form.find(".tb") == form.npos && (n % 64 == 0 || n % 64 > 16)) {
          EXPECT_EQ(run(form, type, m, n, k, 16, true), expected)
              << type << form << " " << m << " x " << k << " x " << n;
        }
      }
    }
  }
}

// Accumulators of several products, and one that is loaded while it waits.
TEST(Core, WaitingProductsKeepTheirAccumulators) {
  constexpr std::string_view text = R"(
.kernel accumulators
.arg x ptr
.arg y ptr
.tile a f32 64
.tile b f32 64
.tile p f32 64
.tile q f32 64
.tile s f32 64
d.load a, x[0], (8 | 8):(8 | 1)
d.load b, x[64], (8 | 8):(8 | 1)
m.mma.zero p, a, b
m.mma.zero q, b, a
m.mma p, a, b
m.mma.zero s, p, q
d.store y[0], s, (64):(1)
m.mma.zero q, a, b
d.load q, x[0], (8 | 8):(8 | 1)
d.store y[64], q, (64):(1)
exit
)";
  std::vector<float> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 5) - 2;
  std::vector<float> y(128);
  const auto product = [](const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<float> c(64);
    for (size_t i = 0; i < 512; ++i) c[i / 64 * 8 + i % 8] += a[i / 64 * 8 + i / 8 % 8] * b[i % 64];
    return c;
  };
  const std::vector<float> a(x.begin(), x.begin() + 64);
  const std::vector<float> b(x.begin() + 64, x.end());
  std::vector<float> twice = product(a, b);
  for (float& value : twice) value *= 2;
  const std::vector<float> expected = product(twice, product(b, a));
  run_program(text, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(y[i], expected[i]);
    EXPECT_EQ(y[64 + i], x[i]);
  }
}

}  // namespace
}  // namespace npu::sim

#include "sim/exec/pending_products.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/sim/exec/run_program.h"

namespace npu::sim {
namespace {

// Programs that read the same parts of b share what they pack of it; where the output lies in b's
// allocation, nothing is packed once for several.
TEST(PendingProducts, PackedOperandsGiveTheSameBits) {
  constexpr std::string_view kProduct = R"(
.kernel product
.arg a ptr
.arg b ptr
.arg y ptr
.arg rows i64
.tile ta TYPE 65536 x2
.tile tb TYPE 65536 x2
.tile acc f32 65536 x2
s.div r0, %pid, 2
s.mod r1, %pid, 2
s.mul r0, r0, rows
s.mul r1, r1, 168
s.mul r2, r0, 600
loop r3, 2
  s.mul r4, r3, 300
  s.add r5, r2, r4
  d.load ta, a[r5], (rows | 300):(600 | 1)
  s.mul r6, r4, 336
  s.add r6, r6, r1
  d.load tb, b[r6], (300 | 168):(336 | 1)
  s.eq r7, r3, 0
  if r7
    m.mma.zero acc, ta, tb
  else
    m.mma acc, ta, tb
  endif
endloop
s.mul r8, r0, 336
s.add r8, r8, r1
d.store y[r8], acc, (rows | 168):(336 | 1)
exit
)";
  constexpr int64_t kRows = 576;
  for (const std::string type : {"f32", "bf16"}) {
    std::string text(kProduct);
    for (size_t at = text.find("TYPE"); at != text.npos; at = text.find("TYPE")) {
      text.replace(at, 4, type);
    }
    // As pairs of bf16, too, numbers that are no denormals.
    std::mt19937 generator(5);
    std::vector<uint32_t> a(kRows * 600);
    std::vector<uint32_t> b(600 * 336 + kRows * 336);
    for (auto* data : {&a, &b}) {
      for (uint32_t& bits : *data) bits = (generator() & 0x807f807f) | 0x3f803f80;
    }
    for (const int64_t rows : {48, 96, 192}) {
      const int64_t grid = kRows / rows * 2;
      std::vector<uint32_t> unshared = b;
      const Counters expected = run_program(text,
                                            {pointer_to(a), pointer_to(unshared),
                                             pointer_to(unshared, 600 * 336), Arg::integer(rows)},
                                            grid);
      const std::vector<uint32_t> bits(unshared.begin() + 600 * 336, unshared.end());
      for (int threads : {1, 2, 3, 4}) {
        std::vector<uint32_t> y(kRows * 336);
        const Counters counters = run_program(
            text, {pointer_to(a), pointer_to(b), pointer_to(y), Arg::integer(rows)}, grid, threads);
        EXPECT_EQ(y, bits) << type << ", " << rows << " rows, " << threads << " threads";
        EXPECT_EQ(counters, expected);
      }
    }
  }
}

// The first store must not take the product away from the accumulator, the second may.
TEST(PendingProducts, AccumulatorsGoOnAfterAStore) {
  constexpr std::string_view kText = R"(
.kernel stores
.arg x ptr
.arg y ptr
.tile a f32 64
.tile acc f32 64
d.load a, x[0], (8 | 8):(8 | 1)
m.mma.zero acc, a, a
d.store y[0], acc, (8 | 8):(24 | 1)
m.mma acc, a, a
d.store y[8], acc, (8 | 8):(24 | 1)
m.mma.zero acc, a, a
d.store y[16], acc, (8 | 8):(24 | 1)
exit
)";
  std::vector<float> x(64);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
  std::vector<float> y(8 * 24);
  run_program(kText, {pointer_to(x), pointer_to(y)});
  for (size_t i = 0; i < 8; ++i) {
    for (size_t j = 0; j < 8; ++j) {
      float sum = 0;
      for (size_t k = 0; k < 8; ++k) sum += x[i * 8 + k] * x[k * 8 + j];
      EXPECT_EQ(y[i * 24 + j], sum);
      EXPECT_EQ(y[i * 24 + 8 + j], 2 * sum);
      EXPECT_EQ(y[i * 24 + 16 + j], sum);
    }
  }
}

}  // namespace
}  // namespace npu::sim

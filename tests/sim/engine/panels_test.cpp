// Products over packed blocks of b against the same products over b as it lies.
#include "sim/engine/panels.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "sim/engine/gemm_kernels.h"

namespace npu::sim {
namespace {

class PanelsTest : public testing::TestWithParam<const char*> {};

struct Size {
  int64_t m, n, k;
};

// A matrix of numbers in [1, 2) or their negatives, three elements between its rows.
struct Operand {
  Operand(DType type, int64_t rows, int64_t cols, std::mt19937& generator)
      : data(static_cast<size_t>(rows * (cols + 3))) {
    for (uint32_t& bits : data) bits = (generator() & 0x807f807f) | 0x3f803f80;
    tile = {reinterpret_cast<std::byte*>(data.data()), cols + 3, rows, cols, type};
  }
  std::vector<uint32_t> data;
  Tile tile;
};

// Every second block is packed, or every one.
void check(EngineContext& context, DType type, const MatrixForm& form, const Size& size,
           int64_t packed_every) {
  std::mt19937 generator(8);
  const auto [m, n, k] = size;
  const bool ta = form.transpose_a;
  const bool tb = form.transpose_b;
  Operand a(type, ta ? k : m, ta ? m : k, generator);
  Operand b(type, tb ? n : k, tb ? k : n, generator);
  Operand whole(DType::f32, m, n, generator);
  Operand blocks = whole;
  blocks.tile.data = reinterpret_cast<std::byte*>(blocks.data.data());
  ASSERT_TRUE(splits_exactly(form, a.tile, b.tile));
  multiply(context, form, whole.tile, a.tile, b.tile);

  auto product = PanelProduct::make(form, blocks.tile, a.tile, b.tile);
  ASSERT_TRUE(product.has_value());
  std::vector<std::byte> packed(kPanelBytes);
  for (int64_t panel = 0; panel < product->panels(); ++panel) {
    for (int64_t depth = 0; depth < product->depths(); ++depth) {
      const bool packs = (panel + depth) % packed_every == 0;
      if (packs) product->pack(context, product->block(panel, depth), packed.data());
      product->multiply(context, panel, depth, packs ? packed.data() : nullptr);
    }
  }
  EXPECT_EQ(whole.data, blocks.data)
      << name(type) << " " << m << " x " << k << " x " << n << (ta ? " ta" : "")
      << (tb ? " tb" : "") << (form.accumulate ? " accumulating" : "");
}

TEST_P(PanelsTest, GiveTheBitsOfWholeProducts) {
  const VectorTable* table = vector_table(GetParam());
  if (table == nullptr) GTEST_SKIP() << "this host has no " << GetParam();
  EngineContext context{*table, {}};
  for (const DType type : {DType::f32, DType::bf16}) {
    if (type == DType::bf16 && !has_gemm_bf16()) continue;
    for (int form = 0; form < 8; ++form) {
      const MatrixForm matrix_form{(form & 1) != 0, (form & 2) != 0, (form & 4) != 0};
      for (const Size size :
           {Size{32, 128, 300}, {130, 90, 257}, {200, 64, 2110}, {33, 81, 4101}}) {
        for (const int64_t packed_every : {1, 2}) {
          check(context, type, matrix_form, size, packed_every);
        }
      }
    }
  }
}

TEST(Panels, AreForLargeProductsOfFloats) {
  const auto suits = [](DType type, int64_t m, int64_t n, int64_t k) {
    const Tile a{nullptr, k, m, k, type};
    const Tile b{nullptr, n, k, n, type};
    const Tile dst{nullptr, n, m, n, DType::f32};
    return PanelProduct::make({}, dst, a, b).has_value();
  };
  EXPECT_TRUE(suits(DType::f32, 128, 128, 128));
  EXPECT_EQ(suits(DType::bf16, 128, 128, 128), has_gemm_bf16());
  EXPECT_FALSE(suits(DType::f16, 128, 128, 128));
  EXPECT_FALSE(suits(DType::f32, 64, 64, 64));
  EXPECT_FALSE(suits(DType::f32, 8, 4096, 4096));
}

INSTANTIATE_TEST_SUITE_P(Hosts, PanelsTest, testing::Values("avx2", "avx512"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace npu::sim

#include "sim/engine/sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tests/sim/engine/engine_harness.h"

namespace npu::sim {
namespace {

template <class T>
void check(bool descending, std::vector<T> keys, int64_t rows, int64_t cols) {
  EngineContext context{vector_table(), {}};
  std::vector<int32_t> payload(keys.size());
  for (size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<int32_t>(i % static_cast<size_t>(cols));
  }
  std::vector<T> sorted(keys.size());
  std::vector<int32_t> permuted(keys.size());
  sort_rows(context, descending, tile_of(sorted, rows, cols), tile_of(permuted, rows, cols),
            tile_of(keys, rows, cols), tile_of(payload, rows, cols));
  const auto before = [](T x, T y) { return x < y || (y != y && x == x); };
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int32_t> order(static_cast<size_t>(cols));
    std::iota(order.begin(), order.end(), 0);
    const T* row = keys.data() + r * cols;
    std::stable_sort(order.begin(), order.end(), [&](int32_t i, int32_t j) {
      return descending ? before(row[j], row[i]) : before(row[i], row[j]);
    });
    for (int64_t c = 0; c < cols; ++c) {
      ASSERT_EQ(permuted[r * cols + c], order[c]) << r << ", " << c;
      const T expected = row[order[c]];
      ASSERT_TRUE(sorted[r * cols + c] == expected || expected != expected);
    }
  }
  // In place.
  sort_rows(context, descending, tile_of(keys, rows, cols), tile_of(payload, rows, cols),
            tile_of(keys, rows, cols), tile_of(payload, rows, cols));
  EXPECT_EQ(payload, permuted);
}

TEST(Sort, StableWithNanLargest) {
  std::mt19937 generator(31);
  for (int64_t cols : {1, 2, 31, 128, 129, 5000}) {
    for (bool descending : {false, true}) {
      std::vector<float> floats(static_cast<size_t>(2 * cols));
      for (float& x : floats) {
        const uint32_t kind = generator() % 20;
        x = kind == 0   ? NAN
            : kind == 1 ? -0.0f
            : kind == 2 ? INFINITY
            : kind == 3 ? -INFINITY
                        : static_cast<float>(generator() % 30) / 4 - 3;
      }
      check(descending, floats, 2, cols);
      std::vector<double> doubles(floats.begin(), floats.end());
      check(descending, doubles, 2, cols);
      std::vector<int64_t> wide(floats.size());
      for (int64_t& x : wide) x = static_cast<int64_t>(uint64_t{generator()} << 32 | generator());
      wide[0] = std::numeric_limits<int64_t>::min();
      check(descending, wide, 2, cols);
      std::vector<uint8_t> bytes(floats.size());
      for (uint8_t& x : bytes) x = static_cast<uint8_t>(generator());
      check(descending, bytes, 2, cols);
    }
  }
}

}  // namespace
}  // namespace npu::sim

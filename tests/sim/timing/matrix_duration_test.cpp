// The closed forms of the matrix engine against a simulated array and against published numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sim/timing/durations.h"
#include "tests/sim/timing/systolic_array.h"

namespace npu::sim {
namespace {

Machine array(int rows, int cols, bool preload, int load_rows = 1, int swap_cycles = 0) {
  Machine machine = load_machine("n1");
  machine.matrix.rows = rows;
  machine.matrix.cols = cols;
  machine.matrix.preload = preload;
  machine.matrix.load_rows = load_rows;
  machine.matrix.swap_cycles = swap_cycles;
  return machine;
}

class Random {
 public:
  int number(int low, int high) { return std::uniform_int_distribution(low, high)(engine_); }
  Product product(int limit) {
    Product p{number(1, limit), number(1, limit), number(1, limit), {}, {}};
    for (int i = 0; i < p.m * p.k; ++i) p.a.push_back(number(-9, 9));
    for (int i = 0; i < p.k * p.n; ++i) p.b.push_back(number(-9, 9));
    return p;
  }

 private:
  std::mt19937 engine_{20260101};
};

void expect_product(const Product& p, const ProductResult& result) {
  for (int i = 0; i < p.m; ++i) {
    for (int j = 0; j < p.n; ++j) {
      int64_t sum = 0;
      for (int k = 0; k < p.k; ++k) sum += p.a[size_t(i * p.k + k)] * p.b[size_t(k * p.n + j)];
      ASSERT_EQ(result.c[size_t(i * p.n + j)], sum) << i << ", " << j;
    }
  }
}

// While the array fills and drains a swap is not seen.
int most_swap(int rows, int cols, int load_rows) {
  return std::max(0, (rows + load_rows - 1) / load_rows + rows + cols - 3);
}

TEST(MatrixDuration, EqualsScaleSimOnItsOwn) {
  const Machine machine = array(128, 128, false);
  EXPECT_EQ(matrix_duration(machine, DType::bf16, 512, 512, 512).latency, 14303u);
  EXPECT_EQ(matrix_duration(machine, DType::bf16, 1024, 1024, 1024).latency, 89983u);
}

TEST(MatrixDuration, EqualsTheSimulatedArrayToTheCycle) {
  Random random;
  for (int round = 0; round < 2400; ++round) {
    const int rows = random.number(1, 16);
    const int cols = random.number(1, 16);
    const bool preload = round % 2 == 1;
    const bool fast_load = round % 4 == 3;
    const int load_rows = fast_load ? random.number(1, rows) : 1;
    const int swap = fast_load ? random.number(0, most_swap(rows, cols, load_rows)) : 0;
    const Product p = random.product(28);
    SCOPED_TRACE(testing::Message()
                 << rows << "x" << cols << (preload ? " preload " : " ") << p.m << "x" << p.k << "x"
                 << p.n << ", loads " << load_rows << " rows, swaps in " << swap);
    const ProductResult result = SystolicArray(rows, cols, preload, load_rows, swap).run({p})[0];
    expect_product(p, result);
    const Machine machine = array(rows, cols, preload, load_rows, swap);
    EXPECT_EQ(matrix_duration(machine, DType::bf16, p.m, p.k, p.n).latency, result.last_output);
  }
}

// Occupancy is when the next product can start: the array runs them back to back.
TEST(MatrixDuration, OccupancyIsWhatFollowersWait) {
  Random random;
  for (int round = 0; round < 60; ++round) {
    const int rows = random.number(1, 12);
    const int cols = random.number(1, 12);
    const int load_rows = round % 2 == 1 ? random.number(1, rows) : 1;
    const int swap = round % 2 == 1 ? random.number(0, most_swap(rows, cols, load_rows)) : 0;
    const std::vector<Product> products = {random.product(24), random.product(24),
                                           random.product(24)};
    const std::vector<ProductResult> results =
        SystolicArray(rows, cols, true, load_rows, swap).run(products);
    const Machine machine = array(rows, cols, true, load_rows, swap);
    uint64_t start = 0;
    for (size_t i = 0; i < products.size(); ++i) {
      const Product& p = products[i];
      expect_product(p, results[i]);
      const Duration duration = matrix_duration(machine, DType::bf16, p.m, p.k, p.n);
      EXPECT_EQ(start + duration.latency, results[i].last_output);
      EXPECT_GE(duration.latency, duration.occupancy);
      start += duration.occupancy;
    }
  }
}

TEST(MatrixDuration, RatesStretchTheStream) {
  const Machine machine = array(128, 128, true);
  EXPECT_EQ(matrix_duration(machine, DType::bf16, 256, 128, 128).occupancy, 256u);
  EXPECT_EQ(matrix_duration(machine, DType::f32, 256, 128, 128).occupancy, 2048u);
  EXPECT_EQ(matrix_duration(machine, DType::i8, 256, 128, 128).occupancy, 128u);
  // Weights take their R cycles however short the stream is.
  EXPECT_EQ(matrix_duration(machine, DType::i8, 8, 128, 256).occupancy, 256u);
  EXPECT_EQ(matrix_duration(machine, DType::bf16, 0, 128, 128).occupancy, 1u);
}

TEST(MatrixDuration, SwapsAndFastLoads) {
  const Machine machine = array(256, 512, true, 16, 15);
  EXPECT_EQ(matrix_duration(machine, DType::bf16, 512, 512, 512).occupancy, 2u * (512 + 15));
  EXPECT_EQ(matrix_duration(machine, DType::bf16, 1, 512, 512).occupancy, 2u * 16);
  // No result is told before the engine is free.
  const Duration one = matrix_duration(array(2, 2, true, 1, 100), DType::bf16, 4, 2, 2);
  EXPECT_EQ(one.occupancy, 104u);
  EXPECT_EQ(one.latency, 104u);
}

TEST(MatrixDuration, CellsCountTheirPadding) {
  const Machine machine = array(16, 8, true);
  EXPECT_EQ(matrix_cell_macs(machine, 5, 16, 8), 5u * 16 * 8);
  EXPECT_EQ(matrix_cell_macs(machine, 5, 17, 9), 5u * 32 * 16);
  EXPECT_EQ(matrix_cell_macs(machine, 0, 17, 9), 0u);
}

}  // namespace
}  // namespace npu::sim

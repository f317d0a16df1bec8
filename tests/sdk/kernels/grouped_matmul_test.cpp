#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>

#include "npu/kernels/matmul.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels::testing {
namespace {

using Values = std::vector<double>;
using Layout = std::vector<int>;

constexpr double kTolerance = 1e-5;  // of sums of some hundred products of numbers below 1

// Sum over l of a[i, l] * b[l, j] of matrices that start at `a` and `b`.
double dot(const double* a, int64_t a_step, const double* b, int64_t b_step, int64_t k) {
  double sum = 0;
  for (int64_t l = 0; l < k; ++l) sum += a[l * a_step] * b[l * b_step];
  return sum;
}

double error_of(npuDataType type) { return std::max(tolerance(type), kTolerance); }

// Groups of rows of a [t, k], with what may be done to rows.
struct RowCase {
  npuDataType type = NPU_F32;
  npuDataType index_type = NPU_I32;
  Values ends;
  int64_t k = 1, n = 1;
  Layout a_layout = {}, b_layout = {}, out_layout = {};
  int64_t copies = 0;  // gathered rows that each row of a gives; 0: rows are as they stand
  bool scatters = false;
  bool scales = false;
};

void check_rows(const RowCase& c) {
  const auto groups = static_cast<int64_t>(c.ends.size());
  const auto rows = static_cast<int64_t>(c.ends.back()) + 3;  // the last ones are in no group
  const int64_t a_rows = c.copies > 0 ? (rows + c.copies - 1) / c.copies : rows;
  SCOPED_TRACE(std::to_string(groups) + " groups of " + std::to_string(rows) + "x" +
               std::to_string(c.k) + "x" + std::to_string(c.n) + " dtype " +
               std::to_string(c.type) + " copies " + std::to_string(c.copies));
  DeviceTensor a(c.type, {a_rows, c.k}, c.a_layout);
  DeviceTensor b(c.type, {groups, c.k, c.n}, c.b_layout);
  DeviceTensor out(c.type, {rows, c.n}, c.out_layout);
  DeviceTensor ends(c.index_type, {groups});
  DeviceTensor order(c.index_type, {rows});
  DeviceTensor scale(NPU_F32, {rows}, {}, 2);
  const Values a_values = random_values(c.type, a.numel(), -1, 1, 1);
  const Values b_values = random_values(c.type, b.numel(), -1, 1, 2);
  const Values scales = random_values(NPU_F32, rows, -1, 1, 3);
  Values places(static_cast<size_t>(rows));
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), std::mt19937(4));
  a.set(a_values);
  b.set(b_values);
  ends.set(c.ends);
  order.set(places);
  scale.set(scales);
  Values expected(static_cast<size_t>(rows * c.n), 7);
  out.set(expected);
  int64_t row = 0;
  for (int64_t g = 0; g < groups; ++g) {
    for (; row < static_cast<int64_t>(c.ends[g]); ++row) {
      const auto place = static_cast<int64_t>(places[row]);
      const int64_t from = c.copies > 0 ? place / c.copies : row;
      const int64_t to = c.scatters ? place : row;
      for (int64_t j = 0; j < c.n; ++j) {
        const double* of_row = a_values.data() + from * c.k;
        const double* of_column = b_values.data() + g * c.k * c.n + j;
        const double sum = dot(of_row, 1, of_column, c.n, c.k);
        expected[to * c.n + j] = sum * (c.scales ? scales[to] : 1);
      }
    }
  }
  GroupedMatmulOptions options;
  if (c.copies > 0) {
    options.gather = order;
    options.gather_divisor = c.copies;
  }
  if (c.scatters) options.scatter = order;
  if (c.scales) options.row_scale = scale;
  npuCounters before{}, after{};
  NPU_ASSERT_OK(npuGetCounters(0, &before));
  NPU_ASSERT_OK(grouped_matmul(out, a, b, ends, options, stream()));
  NPU_ASSERT_OK(npuGetCounters(0, &after));
  expect_close(out.get_all(), expected, error_of(c.type));
  EXPECT_EQ(after.launches - before.launches, 1u);
  EXPECT_EQ(after.macs - before.macs, static_cast<uint64_t>(row * c.k * c.n));
}

TEST(GroupedMatmul, Rows) {
  const std::vector<Values> groups = {{5}, {0, 7, 7, 20}, {3, 300, 301}, {0, 0}};
  for (const npuDataType type : {NPU_F32, NPU_BF16, NPU_F16, NPU_F64}) {
    for (const Values& ends : groups) check_rows({.type = type, .ends = ends, .k = 70, .n = 45});
  }
  check_rows({.index_type = NPU_I64, .ends = {2, 9}, .k = 300, .n = 700});
  check_rows({.ends = {2, 9}, .k = 0, .n = 20});
}

// Most groups are empty, the first and last ones among them: programs walk through all.
TEST(GroupedMatmul, FewRowsOfManyGroups) {
  std::mt19937 random(5);
  for (const int64_t groups : {2, 16, 17, 70}) {
    for (const int64_t filled : {0, 1, 3}) {
      std::vector<int64_t> lengths(static_cast<size_t>(groups), 0);
      for (int64_t i = 0; i < filled; ++i) {
        lengths[random() % lengths.size()] = 1 + static_cast<int64_t>(random() % 3);
      }
      Values ends;
      int64_t end = 0;
      for (const int64_t length : lengths) ends.push_back(static_cast<double>(end += length));
      check_rows({.ends = ends, .k = 20, .n = 1200});
      check_rows({.type = NPU_BF16,
                  .index_type = NPU_I64,
                  .ends = ends,
                  .k = 50,
                  .n = 1100,
                  .b_layout = {0, 2, 1},
                  .copies = 2,
                  .scatters = true,
                  .scales = true});
    }
  }
}

TEST(GroupedMatmul, RowsInAnyLayout) {
  for (const Layout& a : {Layout{0, 1}, Layout{1, 0}}) {
    for (const Layout& b : {Layout{0, 1, 2}, Layout{0, 2, 1}, Layout{2, 0, 1}}) {
      for (const Layout& out : {Layout{0, 1}, Layout{1, 0}}) {
        check_rows({.type = NPU_BF16,
                    .ends = {30, 30, 41},
                    .k = 40,
                    .n = 33,
                    .a_layout = a,
                    .b_layout = b,
                    .out_layout = out});
      }
    }
  }
}

TEST(GroupedMatmul, RowsFromAndToAnywhere) {
  for (const npuDataType index : {NPU_I32, NPU_I64}) {
    for (const int64_t copies : {0, 1, 3}) {
      for (const bool scatters : {false, true}) {
        for (const bool scales : {false, true}) {
          check_rows({.type = NPU_BF16,
                      .index_type = index,
                      .ends = {1, 60, 60, 200},
                      .k = 48,
                      .n = 40,
                      .copies = copies,
                      .scatters = scatters,
                      .scales = scales});
        }
      }
    }
  }
  check_rows({.ends = {4, 9}, .k = 30, .n = 20, .a_layout = {1, 0}, .copies = 2, .scatters = true});
}

// As where a slice ends beyond its tensor.
TEST(GroupedMatmul, EndsAreNoLargerThanTheRows) {
  DeviceTensor a(NPU_F32, {9, 8}), b(NPU_F32, {2, 8, 4}), out(NPU_F32, {9, 4});
  DeviceTensor ends(NPU_I32, {2});
  a.set(Values(9 * 8, 1));
  b.set(Values(2 * 8 * 4, 1));
  ends.set({2, 100});
  Values expected(9 * 4, 7);
  out.set(expected);
  Tensor rows = a;
  Tensor result = out;
  rows.sizes[0] = result.sizes[0] = 5;  // more follow in the same allocation
  std::fill_n(expected.begin(), 5 * 4, 8);
  NPU_ASSERT_OK(grouped_matmul(result, rows, b, ends, {}, stream()));
  expect_close(out.get_all(), expected, 0);
}

TEST(GroupedMatmul, Columns) {
  constexpr int64_t kM = 37, kK = 50, kT = 44;
  const Values ends = {0, 13, 40};
  for (const Layout& out_layout : {Layout{0, 1}, Layout{1, 0}}) {
    DeviceTensor a(NPU_F32, {3, kM, kK});
    DeviceTensor b(NPU_F32, {kK, kT});
    DeviceTensor out(NPU_F32, {kM, kT}, out_layout);
    DeviceTensor end(NPU_I32, {3});
    const Values a_values = random_values(NPU_F32, a.numel(), -1, 1, 1);
    const Values b_values = random_values(NPU_F32, b.numel(), -1, 1, 2);
    Values expected(static_cast<size_t>(kM * kT), 7);
    a.set(a_values);
    b.set(b_values);
    out.set(expected);
    end.set(ends);
    int64_t col = 0;
    for (int64_t g = 0; g < 3; ++g) {
      for (; col < static_cast<int64_t>(ends[g]); ++col) {
        for (int64_t i = 0; i < kM; ++i) {
          expected[i * kT + col] = dot(&a_values[(g * kM + i) * kK], 1, &b_values[col], kT, kK);
        }
      }
    }
    NPU_ASSERT_OK(grouped_matmul(out, a, b, end, {}, stream()));
    expect_close(out.get_all(), expected, kTolerance);
  }
}

TEST(GroupedMatmul, Depth) {
  constexpr int64_t kM = 37, kN = 50, kT = 600;
  const Values ends = {0, 13, 13, 590};
  for (const npuDataType type : {NPU_F32, NPU_BF16}) {
    for (const Layout& a_layout : {Layout{0, 1}, Layout{1, 0}}) {
      for (const Layout& b_layout : {Layout{0, 1}, Layout{1, 0}}) {
        DeviceTensor a(type, {kM, kT}, a_layout);
        DeviceTensor b(type, {kT, kN}, b_layout);
        DeviceTensor out(type, {4, kM, kN});
        DeviceTensor end(NPU_I32, {4});
        const Values a_values = random_values(type, a.numel(), -1, 1, 1);
        const Values b_values = random_values(type, b.numel(), -1, 1, 2);
        a.set(a_values);
        b.set(b_values);
        end.set(ends);
        Values expected;
        int64_t begin = 0;
        for (const double end_of_group : ends) {
          const auto length = static_cast<int64_t>(end_of_group) - begin;
          for (int64_t i = 0; i < kM; ++i) {
            for (int64_t j = 0; j < kN; ++j) {
              expected.push_back(
                  dot(&a_values[i * kT + begin], 1, &b_values[begin * kN + j], kN, length));
            }
          }
          begin += length;
        }
        NPU_ASSERT_OK(grouped_matmul(out, a, b, end, {}, stream()));
        expect_close(out.get_all(), expected, error_of(type));
      }
    }
  }
}

// Rows choose 3 of 64 groups: the others' matrices are not read.
TEST(GroupedMatmul, ReadsTheMatricesOfGroupsWithRows) {
  constexpr int64_t kGroups = 64, kK = 256, kN = 512;
  DeviceTensor a(NPU_BF16, {6, kK});
  DeviceTensor b(NPU_BF16, {kGroups, kK, kN});
  DeviceTensor out(NPU_BF16, {6, kN});
  DeviceTensor ends(NPU_I64, {kGroups});
  Values values;
  for (int64_t g = 0; g < kGroups; ++g) values.push_back(g < 10 ? 0 : g < 20 ? 2 : g < 63 ? 3 : 6);
  ends.set(values);
  npuCounters before{}, after{};
  NPU_ASSERT_OK(npuGetCounters(0, &before));
  NPU_ASSERT_OK(grouped_matmul(out, a, b, ends, {}, stream()));
  NPU_ASSERT_OK(npuGetCounters(0, &after));
  const auto matrix = static_cast<uint64_t>(2 * kK * kN);
  EXPECT_GE(after.dma_read_bytes - before.dma_read_bytes, 3 * matrix);
  EXPECT_LT(after.dma_read_bytes - before.dma_read_bytes, 4 * matrix);
}

// Rows that there are not, though the allocation may have them.
TEST(GroupedMatmul, IndicesOutOfRangeFailTheLaunch) {
  for (const bool scatters : {false, true}) {
    for (const double wrong : {4.0, -1.0, 1e12}) {
      DeviceTensor a(NPU_F32, {6, 8}), b(NPU_F32, {1, 8, 8}), out(NPU_F32, {6, 8});
      DeviceTensor ends(NPU_I32, {1}), order(NPU_I64, {4});
      ends.set({4});
      order.set({0, 1, wrong, 2});
      Tensor inner = scatters ? out : a;  // four rows in the middle
      inner.sizes[0] = 4;
      inner.data = static_cast<float*>(inner.data) + 8;
      Tensor result = out;
      result.sizes[0] = 4;
      const GroupedMatmulOptions gathered = {.gather = order};
      const GroupedMatmulOptions scattered = {.scatter = order};
      Tensor rows = a;
      rows.sizes[0] = 4;
      NPU_ASSERT_OK(scatters ? grouped_matmul(inner, rows, b, ends, scattered, stream())
                             : grouped_matmul(result, inner, b, ends, gathered, stream()));
      EXPECT_EQ(npuDeviceSynchronize(0), NPU_ERROR_OUT_OF_BOUNDS);
      const std::string message = npuGetLastErrorString();
      EXPECT_NE(message.find("kernel 'grouped_gemm'"), std::string::npos) << message;
      EXPECT_NE(message.find(scatters ? "d.scatter" : "d.gather"), std::string::npos) << message;
      NPU_ASSERT_OK(npuDeviceReset(0));
    }
  }
}

TEST(GroupedMatmul, SaysWhatDoesNotFit) {
  DeviceTensor a(NPU_F32, {6, 8});
  DeviceTensor b(NPU_F32, {2, 8, 4});
  DeviceTensor out(NPU_F32, {6, 4});
  DeviceTensor ends(NPU_I32, {2});
  const auto refused = [&](const Tensor& to, const Tensor& left, const Tensor& right,
                           const Tensor& end, const GroupedMatmulOptions& options = {}) {
    EXPECT_EQ(grouped_matmul(to, left, right, end, options, stream()), NPU_ERROR_INVALID_VALUE);
    return std::string(npuGetLastErrorString());
  };
  const DeviceTensor three(NPU_I32, {3});
  const DeviceTensor reals(NPU_F32, {2});
  const DeviceTensor halves(NPU_F16, {2, 8, 4});
  const DeviceTensor integers(NPU_I32, {6, 8});
  const DeviceTensor columns(NPU_F32, {2, 4, 8});
  EXPECT_NE(refused(out, a, b, three).find("with 3 ends"), std::string::npos);
  EXPECT_NE(refused(out, a, b, reals).find("ends"), std::string::npos);
  EXPECT_NE(refused(out, a, halves, ends).find("f16"), std::string::npos);
  EXPECT_NE(refused(out, integers, integers, ends).find("ranks 2 = 2 @ 2"), std::string::npos);
  EXPECT_NE(refused(out, a, columns, ends).find("does not give"), std::string::npos);
  EXPECT_NE(refused(out, a, b, ends, {.gather = three}).find("3 grouped rows"), std::string::npos);
  EXPECT_NE(refused(out, a, b, ends, {.scatter = three}).find("scatter has 3"), std::string::npos);
  EXPECT_NE(refused(out, a, b, ends, {.row_scale = reals}).find("6 elements"), std::string::npos);
  EXPECT_NE(refused(out, a, b, ends, {.gather_divisor = 0}).find("gather_divisor 0"),
            std::string::npos);
  const DeviceTensor order(NPU_I32, {6});
  Tensor same = a;
  same.strides[0] = 0;
  EXPECT_NE(refused(out, same, b, ends, {.gather = order}).find("stride 0"), std::string::npos);
}

}  // namespace
}  // namespace npu::kernels::testing

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "npu/kernels/index.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels {
namespace {

using testing::DeviceTensor;
using testing::random_values;
using testing::stream;
using Values = std::vector<double>;

const npuDataType kTypes[] = {NPU_F64, NPU_F32, NPU_F16, NPU_BF16, NPU_I64,
                              NPU_I32, NPU_I16, NPU_I8,  NPU_U8,   NPU_BOOL};

Values random_indices(int64_t n, int64_t length, uint32_t seed = 7) {
  std::mt19937 engine(seed);
  Values values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<double>(engine() % length));
  return values;
}

TEST(Gather, SelectsRowsOfEveryType) {
  for (npuDataType type : kTypes) {
    for (npuDataType index_type : {NPU_I32, NPU_I64}) {
      DeviceTensor in(type, {50, 33}), index(index_type, {70}), out(type, {70, 33});
      const Values x = random_values(type, 50 * 33, 0, 100), at = random_indices(70, 50);
      in.set(x);
      index.set(at);
      NPU_ASSERT_OK(index_select(out, in, 0, index, stream()));
      Values expected;
      for (double i : at) {
        for (int64_t c = 0; c < 33; ++c) expected.push_back(x[static_cast<size_t>(i) * 33 + c]);
      }
      EXPECT_EQ(out.get_all(), expected);
    }
  }
}

TEST(Gather, SelectsAlongEachDimensionOfStridedTensors) {
  const std::vector<int64_t> sizes = {5, 6, 40, 7};
  for (int dim = 0; dim < 4; ++dim) {
    for (const std::vector<int>& layout : {std::vector<int>{0, 1, 2, 3}, {3, 1, 0, 2}}) {
      std::vector<int64_t> out_sizes = sizes;
      out_sizes[dim] = 11;
      DeviceTensor in(NPU_F32, sizes, layout, 2), index(NPU_I64, {11}, {}, 3);
      DeviceTensor out(NPU_F32, out_sizes, {2, 0, 1, 3});
      const Values x = random_values(NPU_F32, in.numel(), -1, 1);
      const Values at = random_indices(11, sizes[dim]);
      in.set(x);
      index.set(at);
      NPU_ASSERT_OK(index_select(out, in, dim, index, stream()));
      Values expected;
      for (int64_t i = 0; i < out.numel(); ++i) {
        int64_t place[4];
        for (int64_t d = 3, rest = i; d >= 0; --d) {
          place[d] = rest % out_sizes[d];
          rest /= out_sizes[d];
        }
        place[dim] = static_cast<int64_t>(at[place[dim]]);
        int64_t from = 0;
        for (int d = 0; d < 4; ++d) from = from * sizes[d] + place[d];
        expected.push_back(x[from]);
      }
      EXPECT_EQ(out.get_all(), expected) << "dim " << dim;
    }
  }
}

TEST(Gather, WideRowsAreCutIntoTiles) {
  DeviceTensor in(NPU_BF16, {9, 20000}), index(NPU_I64, {3}), out(NPU_BF16, {3, 20000});
  const Values x = random_values(NPU_BF16, in.numel(), -1, 1);
  in.set(x);
  index.set({8, 0, 8});
  NPU_ASSERT_OK(index_select(out, in, 0, index, stream()));
  Values expected(x.end() - 20000, x.end());
  expected.insert(expected.end(), x.begin(), x.begin() + 20000);
  expected.insert(expected.end(), x.end() - 20000, x.end());
  EXPECT_EQ(out.get_all(), expected);
}

TEST(Gather, ReadsElementsAlongEachDimension) {
  const std::vector<int64_t> sizes = {30, 20, 25}, out_sizes = {28, 20, 21};
  for (int dim = 0; dim < 3; ++dim) {
    DeviceTensor in(NPU_I32, sizes, {1, 2, 0}), index(NPU_I64, out_sizes);
    DeviceTensor out(NPU_I32, out_sizes, {2, 1, 0});
    const Values x = random_values(NPU_I32, in.numel(), -100, 100);
    const Values at = random_indices(out.numel(), sizes[dim]);
    in.set(x);
    index.set(at);
    NPU_ASSERT_OK(gather(out, in, dim, index, stream()));
    Values expected;
    for (int64_t i = 0; i < out.numel(); ++i) {
      int64_t place[] = {i / 21 / 20, i / 21 % 20, i % 21};
      place[dim] = static_cast<int64_t>(at[i]);
      expected.push_back(x[(place[0] * 20 + place[1]) * 25 + place[2]]);
    }
    EXPECT_EQ(out.get_all(), expected) << "dim " << dim;
  }
}

// Many elements of each row: whole rows are loaded where that moves less.
TEST(Gather, ReadsManyElementsOfRows) {
  for (npuDataType type : kTypes) {
    for (npuDataType index_type : {NPU_I32, NPU_I64}) {
      for (int64_t length : {1, 90, 9000, 60000}) {
        for (int64_t count : {1, 8, 700}) {
          constexpr int64_t kRows = 5;
          DeviceTensor in(type, {kRows + 2, length}), index(index_type, {kRows, count}, {1, 0});
          DeviceTensor out(type, {kRows, count}, {}, 2);
          const Values x = random_values(type, in.numel(), 0, 100);
          const Values at = random_indices(kRows * count, length);
          in.set(x);
          index.set(at);
          NPU_ASSERT_OK(gather(out, in, 1, index, stream()));
          Values expected;
          for (int64_t i = 0; i < kRows * count; ++i) {
            expected.push_back(x[i / count * length + static_cast<int64_t>(at[i])]);
          }
          EXPECT_EQ(out.get_all(), expected)
              << "type " << type << ", " << count << " of " << length;
        }
      }
    }
  }
}

TEST(Gather, AdvancedIndicesWrapAndBroadcast) {
  // in[i, :, j] with i [4, 1] and j [5]: sizes [4, 5, 3].
  DeviceTensor in(NPU_F32, {6, 3, 8}), i(NPU_I64, {4}), j(NPU_I64, {5}), out(NPU_F32, {4, 5, 3});
  const Values x = random_values(NPU_F32, in.numel(), -1, 1);
  const Values at_i = {-1, 0, 5, -6}, at_j = {7, -8, 0, -1, 3};
  in.set(x);
  i.set(at_i);
  j.set(at_j);
  Tensor view = in;
  view.sizes = {4, 5, 3};
  view.strides = {0, 0, 8};
  Tensor rows = view, columns = view;
  rows.data = i.view().data;
  columns.data = j.view().data;
  rows.dtype = columns.dtype = NPU_I64;
  rows.strides = {1, 0, 0};
  columns.strides = {0, 1, 0};
  const Tensor indices[] = {rows, columns};
  const int64_t lengths[] = {6, 8}, strides[] = {24, 1};
  NPU_ASSERT_OK(index_get(out, view, indices, lengths, strides, stream()));
  Values expected;
  for (double a : at_i) {
    for (double b : at_j) {
      for (int64_t c = 0; c < 3; ++c) {
        const auto from_i = static_cast<int64_t>(a < 0 ? a + 6 : a);
        const auto from_j = static_cast<int64_t>(b < 0 ? b + 8 : b);
        expected.push_back(x[from_i * 24 + c * 8 + from_j]);
      }
    }
  }
  EXPECT_EQ(out.get_all(), expected);
}

TEST(Gather, ReversedViewsAreTensorsToo) {
  DeviceTensor in(NPU_F32, {10}), index(NPU_I64, {3}), out(NPU_F32, {3});
  in.set({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  index.set({0, 9, 2});
  Tensor reversed = in;
  reversed.data = static_cast<float*>(reversed.data) + 9;
  reversed.strides[0] = -1;
  NPU_ASSERT_OK(index_select(out, reversed, 0, index, stream()));
  EXPECT_EQ(out.get_all(), (Values{9, 0, 7}));
}

TEST(Gather, NothingToDo) {
  DeviceTensor in(NPU_F32, {4, 0}), index(NPU_I64, {0}), out(NPU_F32, {0, 0});
  NPU_EXPECT_OK(index_select(out, in, 0, index, stream()));
}

TEST(Gather, WrongOperandsAreRefused) {
  DeviceTensor in(NPU_F32, {4, 4}), index(NPU_I64, {2}), out(NPU_F32, {2, 4});
  DeviceTensor other_type(NPU_I32, {2, 4}), other_sizes(NPU_F32, {2, 5}), reals(NPU_F32, {2});
  EXPECT_EQ(index_select(other_type, in, 0, index, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(index_select(other_sizes, in, 0, index, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(index_select(out, in, 2, index, stream()), NPU_ERROR_INVALID_VALUE);
  EXPECT_EQ(index_select(out, in, 0, reals, stream()), NPU_ERROR_INVALID_VALUE);
}

// A launch that fails, and the device after it.
void expect_out_of_bounds(const char* kernel, const std::function<npuStatus()>& launch,
                          const char* instruction = "d.gather") {
  NPU_ASSERT_OK(launch());
  EXPECT_EQ(npuDeviceSynchronize(0), NPU_ERROR_OUT_OF_BOUNDS);
  const std::string message = npuGetLastErrorString();
  EXPECT_NE(message.find(std::string("kernel '") + kernel + "'"), std::string::npos) << message;
  EXPECT_NE(message.find(instruction), std::string::npos) << message;
  NPU_ASSERT_OK(npuDeviceReset(0));
}

TEST(Gather, IndicesOutOfRangeFailTheLaunch) {
  // Inside of the allocation, outside of the dimension.
  for (double wrong : {3.0, -1.0, 1e12}) {
    DeviceTensor in(NPU_F32, {4, 100}), index(NPU_I64, {2}), out(NPU_F32, {2, 100});
    index.set({1, wrong});
    Tensor upper = in;
    upper.sizes[0] = 3;
    upper.data = static_cast<float*>(upper.data) + 100;
    expect_out_of_bounds("index_select",
                         [&] { return index_select(out, upper, 0, index, stream()); });
  }
  for (int dim : {0, 1}) {
    DeviceTensor in(NPU_F32, {4, 4}), index(NPU_I64, {4, 4}), out(NPU_F32, {4, 4});
    index.set({0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 4, 3, 0, 1, 2, 3});
    expect_out_of_bounds(
        "gather", [&] { return gather(out, in, dim, index, stream()); },
        dim == 0 ? "d.gather" : "v.gather");
  }
  for (double wrong : {-5.0, 4.0}) {
    DeviceTensor in(NPU_F32, {4}), index(NPU_I64, {1}), out(NPU_F32, {1});
    index.set({wrong});
    Tensor view = out;
    view.data = in.view().data;
    view.strides[0] = 0;
    const int64_t lengths[] = {4}, strides[] = {1};
    expect_out_of_bounds("index_get", [&] {
      return index_get(out, view, {&index.view(), 1}, lengths, strides, stream());
    });
  }
}

}  // namespace
}  // namespace npu::kernels

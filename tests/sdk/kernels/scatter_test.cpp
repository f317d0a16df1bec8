#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "npu/kernels/index.h"
#include "tests/sdk/kernels/device_tensor.h"

namespace npu::kernels {
namespace {

using testing::DeviceTensor;
using testing::random_values;
using testing::rounded;
using testing::stream;
using Values = std::vector<double>;

const npuDataType kTypes[] = {NPU_F64, NPU_F32, NPU_F16, NPU_BF16, NPU_I64,
                              NPU_I32, NPU_I16, NPU_I8,  NPU_U8,   NPU_BOOL};
const Accumulate kAll[] = {Accumulate::assign, Accumulate::add, Accumulate::multiply,
                           Accumulate::max, Accumulate::min};

Values random_indices(int64_t n, int64_t length, uint32_t seed = 7) {
  std::mt19937 engine(seed);
  Values values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<double>(engine() % length));
  return values;
}

double apply(Accumulate how, npuDataType type, double old, double value) {
  switch (how) {
    case Accumulate::assign:
      return value;
    case Accumulate::add:
      return rounded(type, old + value);
    case Accumulate::multiply:
      return rounded(type, old * value);
    case Accumulate::max:
      return std::max(old, value);
    case Accumulate::min:
      return std::min(old, value);
  }
  return 0;
}

TEST(Scatter, EveryTypeInIndexOrder) {
  // Many indices for few places: the order shows in roundings and in what assigns last.
  for (npuDataType type : kTypes) {
    for (Accumulate how : kAll) {
      DeviceTensor self(type, {5, 40}), index(NPU_I64, {12, 40}), src(type, {12, 40});
      Values expected = random_values(type, self.numel(), 0, 3, 1);
      const Values x = random_values(type, src.numel(), 0, 3, 2);
      const Values at = random_indices(src.numel(), 5);
      self.set(expected);
      src.set(x);
      index.set(at);
      NPU_ASSERT_OK(scatter(self, 0, index, src, how, stream()));
      for (int64_t i = 0; i < src.numel(); ++i) {
        double& place = expected[static_cast<size_t>(at[i]) * 40 + i % 40];
        place = apply(how, type, place, x[i]);
      }
      EXPECT_EQ(self.get_all(), expected)
          << "type " << type << ", accumulate " << static_cast<int>(how);
    }
  }
}

TEST(Scatter, AlongTheLastDimensionOfStridedTensors) {
  for (Accumulate how : kAll) {
    DeviceTensor self(NPU_F32, {30, 50}, {1, 0}), index(NPU_I32, {29, 700}, {}, 2);
    DeviceTensor src(NPU_F32, {29, 700}, {1, 0});
    Values expected = random_values(NPU_F32, self.numel(), 0.9, 1.1, 1);
    const Values x = random_values(NPU_F32, src.numel(), 0.9, 1.1, 2);
    const Values at = random_indices(src.numel(), 50);
    self.set(expected);
    src.set(x);
    index.set(at);
    NPU_ASSERT_OK(scatter(self, 1, index, src, how, stream()));
    for (int64_t i = 0; i < src.numel(); ++i) {
      double& place = expected[(i / 700) * 50 + static_cast<int64_t>(at[i])];
      place = apply(how, NPU_F32, place, x[i]);
    }
    EXPECT_EQ(self.get_all(), expected) << "accumulate " << static_cast<int>(how);
  }
}

TEST(Scatter, VectorsLongerThanATile) {
  for (Accumulate how : {Accumulate::assign, Accumulate::add}) {
    constexpr int64_t kSources = 30000;
    DeviceTensor self(NPU_F32, {1000}), index(NPU_I64, {kSources}), src(NPU_F32, {kSources});
    Values expected(1000, 0);
    const Values x = random_values(NPU_F32, kSources, -1, 1, 2);
    const Values at = random_indices(kSources, 1000);
    self.set(expected);
    src.set(x);
    index.set(at);
    NPU_ASSERT_OK(scatter(self, 0, index, src, how, stream()));
    for (int64_t i = 0; i < kSources; ++i) {
      double& place = expected[static_cast<size_t>(at[i])];
      place = apply(how, NPU_F32, place, x[i]);
    }
    EXPECT_EQ(self.get_all(), expected) << "accumulate " << static_cast<int>(how);
  }
}

TEST(Scatter, RowsAccumulate) {
  for (int dim = 0; dim < 3; ++dim) {
    for (Accumulate how : kAll) {
      std::vector<int64_t> sizes = {6, 7, 90};
      DeviceTensor self(NPU_F32, sizes);
      std::vector<int64_t> src_sizes = sizes;
      src_sizes[dim] = 25;
      DeviceTensor src(NPU_F32, src_sizes), index(NPU_I64, {25});
      Values expected = random_values(NPU_F32, self.numel(), 0.5, 1.5, 1);
      const Values x = random_values(NPU_F32, src.numel(), 0.5, 1.5, 2);
      const Values at = random_indices(25, sizes[dim]);
      self.set(expected);
      src.set(x);
      index.set(at);
      NPU_ASSERT_OK(index_accumulate(self, dim, index, src, how, stream()));
      for (int64_t i = 0; i < src.numel(); ++i) {
        int64_t place[3];
        for (int64_t d = 2, rest = i; d >= 0; --d) {
          place[d] = rest % src_sizes[d];
          rest /= src_sizes[d];
        }
        place[dim] = static_cast<int64_t>(at[place[dim]]);
        double& value = expected[(place[0] * 7 + place[1]) * 90 + place[2]];
        value = apply(how, NPU_F32, value, x[i]);
      }
      EXPECT_EQ(self.get_all(), expected)
          << "dim " << dim << ", accumulate " << static_cast<int>(how);
    }
  }
}

TEST(Scatter, AdvancedAssignmentAndSum) {
  for (bool accumulate : {false, true}) {
    DeviceTensor self(NPU_F32, {6, 10}), index(NPU_I64, {4}), src(NPU_F32, {4, 10});
    Values expected = random_values(NPU_F32, 60, -1, 1, 1);
    const Values x = random_values(NPU_F32, 40, -1, 1, 2), at = {-1, 2, 2, 5};
    self.set(expected);
    src.set(x);
    index.set(at);
    Tensor view = self;
    view.sizes[0] = 4;
    view.strides[0] = 0;
    const Tensor spread = index.broadcast(1, 10);
    const int64_t lengths[] = {6}, strides[] = {10};
    NPU_ASSERT_OK(index_put(view, src, {&spread, 1}, lengths, strides, accumulate, stream()));
    for (int64_t i = 0; i < 40; ++i) {
      const auto row = static_cast<int64_t>(at[i / 10] < 0 ? at[i / 10] + 6 : at[i / 10]);
      double& place = expected[row * 10 + i % 10];
      place = accumulate ? rounded(NPU_F32, place + x[i]) : x[i];
    }
    EXPECT_EQ(self.get_all(), expected);
  }
}

TEST(Scatter, IndicesOutOfRangeFailTheLaunch) {
  for (Accumulate how : kAll) {
    DeviceTensor self(NPU_F32, {4, 8}), index(NPU_I64, {2, 8}), src(NPU_F32, {2, 8});
    index.set({0, 1, 2, 0, 1, 2, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0});
    Tensor part = self;  // row 3 lies in the allocation
    part.sizes[0] = 3;
    NPU_ASSERT_OK(scatter(part, 0, index, src, how, stream()));
    EXPECT_EQ(npuDeviceSynchronize(0), NPU_ERROR_OUT_OF_BOUNDS);
    const std::string message = npuGetLastErrorString();
    EXPECT_NE(message.find("kernel 'scatter'"), std::string::npos) << message;
    NPU_ASSERT_OK(npuDeviceReset(0));
  }
}

}  // namespace
}  // namespace npu::kernels

// Tensors on the device for kernel tests: filled from and read back as doubles.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "npu/kernels/tensor.h"
#include "npu/npu.h"

namespace npu::kernels::testing {

inline npuStream stream() {
  npuStream result = nullptr;
  EXPECT_EQ(npuDeviceGetDefaultStream(0, &result), NPU_SUCCESS);
  return result;
}

#define NPU_ASSERT_OK(expression) ASSERT_EQ(expression, NPU_SUCCESS) << npuGetLastErrorString()
#define NPU_EXPECT_OK(expression) EXPECT_EQ(expression, NPU_SUCCESS) << npuGetLastErrorString()

inline size_t element_size(npuDataType type) {
  switch (type) {
    case NPU_F64:
    case NPU_I64:
      return 8;
    case NPU_F32:
    case NPU_I32:
      return 4;
    case NPU_F16:
    case NPU_BF16:
    case NPU_I16:
      return 2;
    default:
      return 1;
  }
}

template <class T>
void put(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}
template <class T>
T get(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

inline uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline void encode(npuDataType type, double value, std::byte* to) {
  switch (type) {
    case NPU_F64:
      return put(to, value);
    case NPU_F32:
      return put(to, static_cast<float>(value));
    case NPU_F16:
      return put(to, static_cast<_Float16>(value));
    case NPU_BF16:
      return put(to, to_bf16(static_cast<float>(value)));
    case NPU_I64:
      return put(to, static_cast<int64_t>(value));
    case NPU_I32:
      return put(to, static_cast<int32_t>(static_cast<int64_t>(value)));
    case NPU_I16:
      return put(to, static_cast<int16_t>(static_cast<int64_t>(value)));
    case NPU_BOOL:
      return put(to, static_cast<uint8_t>(value != 0));
    default:
      return put(to, static_cast<uint8_t>(static_cast<int64_t>(value)));
  }
}

inline double decode(npuDataType type, const std::byte* from) {
  switch (type) {
    case NPU_F64:
      return get<double>(from);
    case NPU_F32:
      return get<float>(from);
    case NPU_F16:
      return static_cast<double>(get<_Float16>(from));
    case NPU_BF16:
      return std::bit_cast<float>(uint32_t{get<uint16_t>(from)} << 16);
    case NPU_I64:
      return static_cast<double>(get<int64_t>(from));
    case NPU_I32:
      return get<int32_t>(from);
    case NPU_I16:
      return get<int16_t>(from);
    case NPU_I8:
      return get<int8_t>(from);
    default:
      return get<uint8_t>(from);
  }
}

// What the type keeps of a value.
inline double rounded(npuDataType type, double value) {
  std::byte bytes[8];
  encode(type, value, bytes);
  return decode(type, bytes);
}

// Half a unit in the last place of a value of about 1, in units of which results are compared.
inline double tolerance(npuDataType type) {
  switch (type) {
    case NPU_F64:
      return 1e-12;
    case NPU_F32:
      return 2e-6;
    case NPU_F16:
      return 1e-3;
    case NPU_BF16:
      return 8e-3;
    default:
      return 0;
  }
}

// A strided view over memory of its own. The gaps hold a pattern that nothing may touch.
class DeviceTensor {
 public:
  using Sizes = std::vector<int64_t>;

  // Contiguous in the order `layout` (a permutation of the dimensions, outermost first; empty: as
  // they stand), the innermost stride being `gap`.
  DeviceTensor(npuDataType type, Sizes sizes, std::vector<int> layout = {}, int64_t gap = 1) {
    view_.dtype = type;
    view_.rank = static_cast<int>(sizes.size());
    std::copy(sizes.begin(), sizes.end(), view_.sizes.begin());
    if (layout.empty()) {
      for (int d = 0; d < view_.rank; ++d) layout.push_back(d);
    }
    int64_t stride = gap;
    for (auto d = layout.rbegin(); d != layout.rend(); ++d) {
      view_.strides[*d] = stride;
      stride *= std::max<int64_t>(sizes[*d], 1);
    }
    bytes_.resize(static_cast<size_t>(stride) * element_size(type) + kGuard, kPattern);
    void* data = nullptr;
    EXPECT_EQ(npuMalloc(0, bytes_.size(), &data), NPU_SUCCESS) << npuGetLastErrorString();
    view_.data = data;
    upload();
  }
  DeviceTensor(const DeviceTensor&) = delete;
  DeviceTensor& operator=(const DeviceTensor&) = delete;
  ~DeviceTensor() { npuFree(view_.data); }

  operator const Tensor&() const { return view_; }  // NOLINT(google-explicit-constructor)
  const Tensor& view() const { return view_; }
  int64_t numel() const { return view_.numel(); }

  // The same memory with the dimension at `dim` inserted and broadcast to `size`.
  Tensor broadcast(int dim, int64_t size) const {
    Tensor result = view_;
    for (int d = view_.rank; d > dim; --d) {
      result.sizes[d] = view_.sizes[d - 1];
      result.strides[d] = view_.strides[d - 1];
    }
    result.sizes[dim] = size;
    result.strides[dim] = 0;
    ++result.rank;
    return result;
  }

  // By logical element, row-major.
  void set(const std::vector<double>& values) {
    ASSERT_EQ(values.size(), static_cast<size_t>(numel()));
    for (int64_t i = 0; i < numel(); ++i) encode(view_.dtype, values[i], at(i));
    upload();
  }

  std::vector<double> get_all() {
    EXPECT_EQ(
        npuMemcpyAsync(bytes_.data(), view_.data, bytes_.size(), NPU_DEVICE_TO_HOST, stream()),
        NPU_SUCCESS)
        << npuGetLastErrorString();
    EXPECT_EQ(npuStreamSynchronize(stream()), NPU_SUCCESS) << npuGetLastErrorString();
    std::vector<double> values;
    for (int64_t i = 0; i < numel(); ++i) values.push_back(decode(view_.dtype, at(i)));
    check_gaps();
    return values;
  }

 private:
  static constexpr auto kPattern = std::byte{0x5a};
  static constexpr size_t kGuard = 64;

  int64_t offset(int64_t index) const {
    int64_t result = 0;
    for (int d = view_.rank - 1; d >= 0; --d) {
      result += index % view_.sizes[d] * view_.strides[d];
      index /= view_.sizes[d];
    }
    return result * static_cast<int64_t>(element_size(view_.dtype));
  }
  std::byte* at(int64_t index) { return bytes_.data() + offset(index); }

  void upload() {
    EXPECT_EQ(
        npuMemcpyAsync(view_.data, bytes_.data(), bytes_.size(), NPU_HOST_TO_DEVICE, stream()),
        NPU_SUCCESS)
        << npuGetLastErrorString();
  }

  void check_gaps() {
    std::vector<bool> used(bytes_.size());
    for (int64_t i = 0; i < numel(); ++i) {
      for (size_t b = 0; b < element_size(view_.dtype); ++b) {
        used[static_cast<size_t>(offset(i)) + b] = true;
      }
    }
    for (size_t i = 0; i < used.size(); ++i) {
      ASSERT_TRUE(used[i] || bytes_[i] == kPattern) << "byte " << i << " was overwritten";
    }
  }

  Tensor view_;
  std::vector<std::byte> bytes_;
};

// Reproducible values, already as the type keeps them.
inline std::vector<double> random_values(npuDataType type, int64_t n, double low, double high,
                                         uint32_t seed = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> draw(low, high);
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(rounded(type, draw(engine)));
  return values;
}

// Compares by absolute and relative error of `epsilon`; NaN equals NaN.
inline void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                         double epsilon) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(expected[i])) {
      ASSERT_TRUE(std::isnan(actual[i])) << "element " << i << " is " << actual[i];
    } else if (std::isinf(expected[i])) {
      ASSERT_EQ(actual[i], expected[i]) << "element " << i;
    } else {
      ASSERT_NEAR(actual[i], expected[i], epsilon * std::max(1.0, std::abs(expected[i])))
          << "element " << i;
    }
  }
}

}  // namespace npu::kernels::testing

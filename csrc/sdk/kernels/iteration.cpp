#include "csrc/sdk/kernels/iteration.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "csrc/sdk/runtime/status.h"
#include "sim/isa/dtype.h"

namespace npu::kernels {
namespace {

std::span<const int64_t> sizes_of(const Tensor& tensor) {
  return {tensor.sizes.data(), static_cast<size_t>(tensor.rank)};
}

}  // namespace

int64_t Iteration::numel() const {
  int64_t n = 1;
  for (int d = 0; d < rank; ++d) n *= size[d];
  return n;
}

void Iteration::sort_by_first() {
  // Insertion sort: stable, and the usual case is sorted already.
  const auto before = [&](int a, int b) {
    for (int t = 0; t < tensors; ++t) {
      const int64_t x = std::abs(stride[t][a]);
      const int64_t y = std::abs(stride[t][b]);
      if (x == 0 || y == 0) continue;  // broadcast dimensions have no order of their own
      if (x != y) return x < y;
    }
    return false;
  };
  for (int i = 1; i < rank; ++i) {
    for (int j = i; j > 0 && before(j, j - 1); --j) {
      std::swap(size[j], size[j - 1]);
      for (int t = 0; t < tensors; ++t) std::swap(stride[t][j], stride[t][j - 1]);
    }
  }
}

void Iteration::coalesce() {
  int kept = 0;
  for (int d = 0; d < rank; ++d) {
    bool joins = kept > 0;
    for (int t = 0; joins && t < tensors; ++t) {
      joins = stride[t][d] == stride[t][kept - 1] * size[kept - 1];
    }
    if (joins) {
      size[kept - 1] *= size[d];
      continue;
    }
    size[kept] = size[d];
    for (int t = 0; t < tensors; ++t) stride[t][kept] = stride[t][d];
    ++kept;
  }
  rank = kept;
}

Iteration make_iteration(std::span<const Tensor* const> tensors) {
  Iteration iteration;
  iteration.tensors = static_cast<int>(tensors.size());
  for (int d = tensors[0]->rank - 1; d >= 0; --d) {
    if (tensors[0]->sizes[d] == 1) continue;
    iteration.size[iteration.rank] = tensors[0]->sizes[d];
    for (int t = 0; t < iteration.tensors; ++t) {
      iteration.stride[t][iteration.rank] = tensors[t]->defined() ? tensors[t]->strides[d] : 0;
    }
    ++iteration.rank;
  }
  return iteration;
}

npuStatus check_tensor(std::string_view kernel, std::string_view operand, const Tensor& tensor) {
  const int dtype = tensor.dtype;
  if (dtype < 0 || dtype >= sim::kDTypeCount) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} has the unknown dtype code {}", kernel,
                      operand, dtype);
  }
  if (!sim::is_implemented(static_cast<sim::DType>(dtype))) {
    return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: {} is {}, which no engine implements yet",
                      kernel, operand, sim::name(static_cast<sim::DType>(dtype)));
  }
  if (tensor.rank < 0 || tensor.rank > kMaxRank) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} has rank {}, allowed are 0 to {}", kernel,
                      operand, tensor.rank, kMaxRank);
  }
  return NPU_SUCCESS;
}

npuStatus check_same_sizes(std::string_view kernel, const Tensor& expected, const Tensor& actual) {
  if (std::ranges::equal(sizes_of(expected), sizes_of(actual))) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: an operand of sizes [{}] where [{}] is expected",
                    kernel, fmt::join(sizes_of(actual), ", "), fmt::join(sizes_of(expected), ", "));
}

}  // namespace npu::kernels

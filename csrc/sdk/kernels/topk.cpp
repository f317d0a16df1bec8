// The largest or smallest k of each line: every part of a line gives its k candidates, candidates
// are lines again, until one part is left. Where k is a large share of a part, the lines are sorted
// as a whole.
#include <algorithm>
#include <memory>

#include "csrc/sdk/kernels/sort_lines.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/elementwise.h"
#include "npu/kernels/index.h"

namespace npu::kernels {
namespace {

// Elements of a part: a few times k, since the rest goes, and enough parts for all cores.
int64_t part_for(const sim::Machine& machine, int64_t lines, int64_t length, int64_t k,
                 int64_t longest) {
  constexpr int64_t kLeast = 8192;
  const int64_t least = std::max(kLeast, 4 * k);
  if (length <= std::min(2 * least, longest)) return length;
  const int64_t share = ceil_div(lines * length, machine.core.count);
  return std::min(std::clamp(share, least, 2 * least), longest);
}

npuStatus sort_and_cut(const SortedLines& out, const Tensor& in, int dim, bool largest,
                       npuStream stream) {
  const ScratchLines sorted(in, dim, in.sizes[dim], stream);
  NPU_RETURN_IF_ERROR(sorted.status());
  SortedLines first = sorted.lines();
  NPU_RETURN_IF_ERROR(sort(first.keys, first.positions, in, dim, largest, stream));
  first.keys.sizes[dim] = first.positions.sizes[dim] = out.keys.sizes[dim];
  NPU_RETURN_IF_ERROR(copy(out.keys, first.keys, stream));
  return copy(out.positions, first.positions, stream);
}

}  // namespace

npuStatus topk(const Tensor& values, const Tensor& indices, const Tensor& in, int dim, bool largest,
               npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_sort("topk", values, indices, in, dim));
    const int64_t k = values.sizes[dim];
    Tensor cut = in;
    cut.sizes[dim] = k;
    NPU_RETURN_IF_ERROR(check_same_sizes("topk", cut, values));
    if (k > in.sizes[dim]) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "topk: {} of {} elements", k, in.sizes[dim]);
    }
    if (values.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const int64_t lines = values.numel() / k;
    const int64_t longest = longest_line(*machine, static_cast<sim::DType>(in.dtype));
    const SortedLines out = {values, indices};

    SortedLines source = {in, {}};
    std::unique_ptr<ScratchLines> candidates;
    while (true) {
      const int64_t length = source.keys.sizes[dim];
      const int64_t part = part_for(*machine, lines, length, k, longest);
      const SortParts how = {.descending = largest, .part = part, .keep = k};
      if (part == length) return sort_parts(out, source, dim, how, stream);
      if (2 * k > part) return sort_and_cut(out, in, dim, largest, stream);
      const int64_t whole = (length - 1) / part;
      const int64_t left = whole * k + std::min(k, length - whole * part);
      auto next = std::make_unique<ScratchLines>(in, dim, left, stream);
      NPU_RETURN_IF_ERROR(next->status());
      NPU_RETURN_IF_ERROR(sort_parts(next->lines(), source, dim, how, stream));
      candidates = std::move(next);
      source = candidates->lines();
    }
  });
}

}  // namespace npu::kernels

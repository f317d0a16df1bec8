// Fills are DMA alone: each program fills one part of the outermost dimension that a DMA reaches.
#include <algorithm>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/elementwise.h"

namespace npu::kernels {
namespace {

// dims dimensions; the innermost kTileDims are those of a TileWalk whose tiles are whole
// dimensions.
sim::Program build_fill(const sim::Machine& machine, DType dtype, int dims) {
  Builder b("fill", machine);
  const Pointer dst = b.pointer("dst");
  const Value value = sim::is_float(dtype) ? b.real("value") : b.integer("value");
  const TileWalk walk(b, dims, 1);
  b.fill_memory(dst, dtype, walk.offset(0), value, walk.region(0));
  return b.finish();
}

}  // namespace

sim::Program library_fill(const sim::Machine& machine) {
  return build_fill(machine, DType::f32, 0);
}

npuStatus fill(const Tensor& dst, Scalar value, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("fill", "the destination", dst));
    if (dst.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const auto dtype = static_cast<DType>(dst.dtype);
    const Tensor* const tensors[] = {&dst};
    Iteration nest = make_iteration(tensors);
    nest.sort_by_first();
    nest.coalesce();
    const int dims = walk_dims(nest);

    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {"fill", {static_cast<int64_t>(dtype), dims}},
        [&](const sim::Machine& m) { return build_fill(m, dtype, dims); }, &kernel));

    if (dtype == DType::b8) value.integer = value.real != 0 || value.integer != 0;
    Arguments args;
    args.pointer(dst.data);
    args.number(value, dtype);
    // No tile passes through the scratchpad: a core's share is one transfer.
    const int64_t most = std::max(nest.numel(), kSmallTileElements);
    const int64_t grid = pass_walk(args, nest, dims, *machine, most);
    return launch(kernel, grid, args, stream);
  });
}

}  // namespace npu::kernels

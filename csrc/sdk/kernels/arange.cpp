// dst[i] = start + i * step: the logical index is a second tensor of the walk that lies nowhere.
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/elementwise.h"

namespace npu::kernels {
namespace {

// Counts in 64 bits, so that long ranges of short types do not drift.
DType counter_type(DType dtype) { return sim::is_float(dtype) ? DType::f64 : DType::i64; }

int64_t capacity_of(const sim::Machine& machine, DType dtype) {
  return tile_capacity(machine, sim::size_of(counter_type(dtype)) + 2 * sim::size_of(dtype));
}

sim::Program build_arange(const sim::Machine& machine, DType dtype, int dims) {
  Builder b("arange", machine);
  const Pointer dst = b.pointer("dst");
  const bool real = sim::is_float(dtype);
  const Value start = real ? b.real("start") : b.integer("start");
  const Value step = real ? b.real("step") : b.integer("step");
  const TileWalk walk(b, dims, 2);
  const int64_t capacity = capacity_of(machine, dtype);
  const Tile counter = b.tile("counter", counter_type(dtype), capacity);
  const auto steps = [&](const Value& count) { return (real ? b.to_real(count) : count) * step; };
  b.iota(counter, start + steps(walk.offset(1)), steps(walk.stride(1, 0)), steps(walk.stride(1, 1)),
         walk.rows(), walk.cols());
  const Tile out = b.tile("out", dtype, capacity, 2);
  b.vector(UnaryFn::copy, out, counter);
  b.store(dst, walk.offset(0), walk.region(0), out);
  return b.finish();
}

}  // namespace

sim::Program library_arange(const sim::Machine& machine) {
  return build_arange(machine, DType::f32, 0);
}

npuStatus arange(const Tensor& dst, Scalar start, Scalar step, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("arange", "the destination", dst));
    if (dst.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const auto dtype = static_cast<DType>(dst.dtype);
    Tensor index = dst;
    int64_t stride = 1;
    for (int d = dst.rank - 1; d >= 0; --d) {
      index.strides[d] = stride;
      stride *= dst.sizes[d];
    }
    const Tensor* const tensors[] = {&dst, &index};
    Iteration nest = make_iteration(tensors);
    nest.sort_by_first();
    nest.coalesce();
    const int dims = walk_dims(nest);

    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {"arange", {static_cast<int64_t>(dtype), dims}},
        [&](const sim::Machine& m) { return build_arange(m, dtype, dims); }, &kernel));

    Arguments args;
    args.pointer(dst.data);
    args.number(start, dtype);
    args.number(step, dtype);
    const int64_t grid = pass_walk(args, nest, dims, *machine, capacity_of(*machine, dtype), 2);
    return launch(kernel, grid, args, stream);
  });
}

}  // namespace npu::kernels

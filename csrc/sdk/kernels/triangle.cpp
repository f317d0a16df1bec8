// Keeps a triangle of each matrix. Which diagonal an element lies on, column - row, is a third
// tensor of the walk that lies nowhere.
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/elementwise.h"

namespace npu::kernels {
namespace {

using sdk::BinaryFn;
using sdk::Builder;
using sdk::DType;
using sdk::Pointer;
using sdk::Tile;
using sdk::Value;

int64_t capacity_of(const sim::Machine& machine, DType dst, DType src) {
  const int64_t bytes = 2 * sim::size_of(dst) + load_buffers(machine) * sim::size_of(src) +
                        sim::size_of(DType::i64) + sim::size_of(DType::b8);
  return tile_capacity(machine, bytes);
}

sim::Program build_triangle(const sim::Machine& machine, DType dst_type, DType src_type, int dims,
                            bool lower) {
  Builder b(lower ? "tril" : "triu", machine);
  const Pointer dst = b.pointer("dst");
  const Pointer src = b.pointer("src");
  const Value diagonal = b.integer("diagonal");
  const TileWalk walk(b, dims, 3);
  const int64_t capacity = capacity_of(machine, dst_type, src_type);
  const Tile in = b.tile("in", src_type, capacity, load_buffers(machine));
  const Tile out = b.tile("result", dst_type, capacity, 2);
  const Tile distance = b.tile("distance", DType::i64, capacity);
  const Tile keep = b.tile("keep", DType::b8, capacity);
  b.load(in, src, walk.offset(1), walk.region(1));
  b.iota(distance, walk.offset(2), walk.stride(2, 0), walk.stride(2, 1), walk.rows(), walk.cols());
  b.vector(lower ? BinaryFn::le : BinaryFn::ge, keep, distance, diagonal);
  b.vector(sdk::TernaryFn::where, out, keep, in, 0);
  b.store(dst, walk.offset(0), walk.region(0), out);
  return b.finish();
}

}  // namespace

sim::Program library_tril(const sim::Machine& machine) {
  return build_triangle(machine, DType::f32, DType::f32, 2, true);
}
sim::Program library_triu(const sim::Machine& machine) {
  return build_triangle(machine, DType::f32, DType::f32, 2, false);
}

npuStatus triangle(const Tensor& dst, const Tensor& src, int64_t diagonal, bool lower,
                   npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("triangle", "the destination", dst));
    NPU_RETURN_IF_ERROR(check_tensor("triangle", "the source", src));
    NPU_RETURN_IF_ERROR(check_same_sizes("triangle", dst, src));
    if (dst.rank < 2) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "triangle: rank {}, at least 2 is expected",
                        dst.rank);
    }
    if (dst.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const auto dst_type = static_cast<DType>(dst.dtype);
    const auto src_type = static_cast<DType>(src.dtype);
    Tensor distance = dst;
    distance.strides = {};
    distance.strides[dst.rank - 1] = 1;
    distance.strides[dst.rank - 2] = -1;
    const Tensor* const tensors[] = {&dst, &src, &distance};
    Iteration nest = make_iteration(tensors);
    nest.sort_by_first();
    nest.coalesce();
    const int dims = walk_dims(nest);

    npuKernel kernel = nullptr;
    const std::array<int64_t, 6> variant = {static_cast<int64_t>(dst_type),
                                            static_cast<int64_t>(src_type), dims, lower};
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {"triangle", variant},
        [&](const sim::Machine& m) { return build_triangle(m, dst_type, src_type, dims, lower); },
        &kernel));

    Arguments args;
    args.pointer(dst.data);
    args.pointer(src.data);
    args.integer(diagonal);
    const int64_t capacity = capacity_of(*machine, dst_type, src_type);
    const int64_t grid = pass_walk(args, nest, dims, *machine, capacity, 2);
    return launch(kernel, grid, args, stream);
  });
}

}  // namespace npu::kernels

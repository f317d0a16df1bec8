// Coordinates of the elements that are not zero, in order. A first launch counts them in each tile;
// in the second each program adds up the counts of the tiles before its own and scatters the
// coordinates behind them.
#include <fmt/format.h>

#include <vector>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/index.h"

namespace npu::kernels {
namespace {

// Tensors of the walk, which goes through `in` in row-major order; kNumber counts its elements.
enum : int { kIn, kNumber, kTensors };

struct Form {
  DType type = DType::b8;
  int dims = 0;  // of the walk
  int rank = 0;  // of the coordinates
};

constexpr int64_t kCountCapacity = 1024;  // counts added up at a time

int64_t capacity_of(const sim::Machine& machine, DType type) {
  constexpr int64_t kNumbers = 4 * 8;
  const int64_t counts = 2 * kCountCapacity * sim::size_of(DType::i64);
  const int64_t share = 1 + counts * 64 / machine.scratchpad_bytes();
  return tile_capacity(machine, kNumbers + 2 * sim::size_of(type) + 1 + share);
}

// 1 where an element is not zero.
Tile load_flags(Builder& b, const TileWalk& walk, Pointer in, DType type, int64_t capacity) {
  const Tile elements = b.tile("elements", type, capacity, 2);
  const Tile flags = b.tile("flags", DType::b8, capacity);
  b.load(elements, in, walk.offset(kIn), walk.region(kIn));
  b.vector(BinaryFn::ne, flags, elements, 0);
  b.reshape(flags, 1, walk.rows() * walk.cols());
  return flags;
}

sim::Program build_count(const sim::Machine& machine, const Form& form) {
  Builder b("nonzero_count", machine);
  const Pointer counts = b.pointer("counts");
  const Pointer in = b.pointer("in");
  const TileWalk walk(b, form.dims, kTensors);
  const Tile flags = load_flags(b, walk, in, form.type, capacity_of(machine, form.type));
  const Tile count = b.tile("count", DType::i64, 1);
  b.reduce(ReduceFn::sum, count, flags);
  b.store(counts, b.pid(), {{1, 1}}, count);
  return b.finish();
}

sim::Program build_write(const sim::Machine& machine, const Form& form) {
  Builder b("nonzero", machine);
  const Pointer out = b.pointer("out");
  const Pointer counts = b.pointer("counts");
  const Pointer in = b.pointer("in");
  const Value row_step = b.integer("row_step");
  const Value col_step = b.integer("col_step");
  std::vector<Value> sizes, inner;  // of a dimension; elements inside of one step along it
  for (int d = 0; d < form.rank; ++d) {
    sizes.push_back(b.integer(fmt::format("dim{}", d)));
    inner.push_back(b.integer(fmt::format("inner{}", d)));
  }
  const TileWalk walk(b, form.dims, kTensors);
  const int64_t capacity = capacity_of(machine, form.type);

  const Tile before = b.tile("before", DType::i64, 1);
  const Tile some = b.tile("some", DType::i64, kCountCapacity);
  const Tile sum = b.tile("sum", DType::i64, 1);
  b.fill(before, 0, 1, 1);
  b.loop(b.ceil_div(b.pid(), kCountCapacity), [&](const Value& i) {
    const Value start = i * kCountCapacity;
    b.load(some, counts, start, {{b.min(b.pid() - start, kCountCapacity), 1}});
    b.reduce(ReduceFn::sum, sum, some);
    b.vector(BinaryFn::add, before, before, sum);
  });

  const Tile flags = load_flags(b, walk, in, form.type, capacity);
  const Tile rows = b.tile("rows", DType::i64, capacity);
  const Tile number = b.tile("number", DType::i64, capacity);
  const Tile coordinate = b.tile("coordinate", DType::i64, capacity, 2);
  b.scan(sdk::ScanFn::sum, rows, flags);
  b.vector(BinaryFn::add, rows, rows, before);
  b.vector(BinaryFn::mul, rows, rows, flags);
  b.vector(BinaryFn::sub, rows, rows, 1);  // -1 where the element is zero
  b.iota(number, walk.offset(kNumber), 1, 0, 1, walk.rows() * walk.cols());
  for (int d = 0; d < form.rank; ++d) {
    const auto i = static_cast<size_t>(d);
    b.vector(BinaryFn::truncdiv, coordinate, number, inner[i]);
    b.vector(BinaryFn::mod, coordinate, coordinate, sizes[i]);
    b.scatter(out, col_step * d, rows, row_step, {}, coordinate, /*masked=*/true);
  }
  return b.finish();
}

constexpr Form kTypical = {DType::f32, 2, 2};

}  // namespace

sim::Program library_nonzero_count(const sim::Machine& machine) {
  return build_count(machine, kTypical);
}
sim::Program library_nonzero(const sim::Machine& machine) { return build_write(machine, kTypical); }

npuStatus nonzero(const Tensor& coordinates, const Tensor& in, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("nonzero", "the input", in));
    if (coordinates.rank != 2 || coordinates.sizes[1] != in.rank || coordinates.dtype != NPU_I64) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "nonzero: the coordinates must be i64 [n, {}]",
                        in.rank);
    }
    if (coordinates.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    Tensor number = in;
    int64_t inner = 1;
    for (int d = in.rank - 1; d >= 0; --d) {
      number.strides[d] = inner;
      inner *= in.sizes[d];
    }
    const Tensor* const tensors[] = {&in, &number};
    Iteration nest = make_iteration(tensors);
    nest.coalesce();
    if (nest.rank == 0) nest.size[nest.rank++] = 1;
    const Form form = {static_cast<DType>(in.dtype), nest.rank, in.rank};
    const Tiling tiling = tiling_for(*machine, nest, capacity_of(*machine, form.type));

    const auto kernel_for = [&](std::string_view name, auto build, npuKernel* kernel) {
      return sdk::cached_kernel(
          stream, {name, {static_cast<int64_t>(form.type), form.dims, form.rank}},
          [&](const sim::Machine& m) { return build(m, form); }, kernel);
    };
    npuKernel count = nullptr;
    npuKernel write = nullptr;
    NPU_RETURN_IF_ERROR(kernel_for("nonzero_count", build_count, &count));
    NPU_RETURN_IF_ERROR(kernel_for("nonzero", build_write, &write));
    void* counts = nullptr;
    NPU_RETURN_IF_ERROR(
        sdk::workspace_alloc(stream, static_cast<size_t>(tiling.grid) * sizeof(int64_t), &counts));
    const npuStatus status = [&]() -> npuStatus {
      Arguments args;
      args.pointer(counts);
      args.pointer(in.data);
      pass_strided_walk(args, nest, tiling);
      NPU_RETURN_IF_ERROR(launch(count, tiling.grid, args, stream));
      args = {};
      args.pointer(coordinates.data);
      args.pointer(counts);
      args.pointer(in.data);
      args.integer(coordinates.strides[0]);
      args.integer(coordinates.strides[1]);
      for (int d = 0; d < in.rank; ++d) {
        args.integer(in.sizes[d]);
        args.integer(number.strides[d]);
      }
      pass_strided_walk(args, nest, tiling);
      return launch(write, tiling.grid, args, stream);
    }();
    sdk::workspace_free(stream, counts);
    return status;
  });
}

}  // namespace npu::kernels

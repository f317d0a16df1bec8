// Binary search of all values of a tile at once: each round moves the found position ahead by half
// of the last round's step where the element there is still on the left. A line that serves all
// values and fits the scratchpad is loaded once; elements of others are gathered from memory, for
// which every round waits.
#include <algorithm>
#include <array>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/elementwise.h"
#include "npu/kernels/index.h"

namespace npu::kernels {
namespace {

// Tensors of the walk: kLine is the sorted tensor without its last dimension.
enum : int { kOut, kValues, kLine, kTensors };

struct Variant {
  DType type = DType::f32;
  int dims = 0;
  bool right = false;
  bool loads_line = false;
};

// Of the scratchpad, for a line that is loaded.
constexpr int64_t kLineShare = 8;
constexpr int64_t kMostOfLine = 32768;  // elements
int64_t line_capacity_of(const sim::Machine& machine, DType type) {
  return std::min(machine.scratchpad_bytes() / kLineShare / sim::size_of(type), kMostOfLine);
}

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  constexpr int64_t kPositions = 4 * 8;
  constexpr int64_t kFlags = 2;
  const int64_t bytes = kPositions + kFlags + 3 * sim::size_of(v.type);
  return tile_capacity(machine,
                       v.loads_line ? ceil_div(bytes * kLineShare, kLineShare - 1) : bytes);
}

sim::Program build(const sim::Machine& machine, const Variant& v) {
  const auto& [type, dims, right, loads_line] = v;
  Builder b("searchsorted", machine);
  const Pointer out = b.pointer("out");
  const Pointer values = b.pointer("values");
  const Pointer sorted = b.pointer("sorted");
  const Value length = b.integer("length");
  const Value step = b.integer("step");
  const Value rounds = b.integer("rounds");
  const Value first = b.integer("first");  // a power of two, at most half of a larger one
  const TileWalk walk(b, dims, kTensors);
  const int64_t capacity = capacity_of(machine, v);
  const auto positions = [&](const char* name) { return b.tile(name, DType::i64, capacity); };
  const Tile value = b.tile("value", type, capacity, 2);
  const Tile element = b.tile("element", type, capacity);
  const Tile found = positions("found"), next = positions("next"), place = positions("place");
  const Tile before = positions("before");  // one element before the line
  const Tile passed = b.tile("passed", DType::b8, capacity);
  const Tile outside = b.tile("outside", DType::b8, capacity);
  const int64_t line_elements = line_capacity_of(machine, type);
  const Tile line = loads_line ? b.tile("line", type, line_elements) : Tile{};
  if (loads_line) b.load(line, sorted, walk.offset(kLine), Region({}, {{length, step}}));
  b.load(value, values, walk.offset(kValues), walk.region(kValues));
  b.fill(found, 0, walk.rows(), walk.cols());
  const Value distance = b.variable(first);
  b.loop(rounds, [&](const Value&) {
    b.vector(BinaryFn::add, next, found, distance);
    b.vector(BinaryFn::min, place, next, length);
    if (loads_line) {
      b.vector(BinaryFn::sub, place, place, 1);
      b.reshape(place, 1, walk.rows() * walk.cols());
      b.gather_columns(element, line, place);
    } else {
      b.iota(before, walk.offset(kLine) - step, walk.stride(kLine, 0), walk.stride(kLine, 1),
             walk.rows(), walk.cols());
      b.vector(TernaryFn::fma, place, place, step, before);
      b.gather(element, sorted, 0, place, 1, {});
    }
    b.reshape(element, walk.rows(), walk.cols());
    // NaN stands behind everything, as a value and, since it compares false, as an element not.
    b.vector(right ? BinaryFn::gt : BinaryFn::ge, passed, element, value);
    b.vector(BinaryFn::gt, outside, next, length);
    b.vector(BinaryFn::lor, passed, passed, outside);
    b.vector(TernaryFn::where, found, passed, found, next);
    b.set(distance, distance / 2);
  });
  b.store(out, walk.offset(kOut), walk.region(kOut), found);
  return b.finish();
}

}  // namespace

sim::Program library_searchsorted(const sim::Machine& machine) {
  return build(machine, {.dims = 2});
}

npuStatus searchsorted(const Tensor& out, const Tensor& sorted, const Tensor& values, bool right,
                       npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("searchsorted", "the values", values));
    NPU_RETURN_IF_ERROR(check_same_sizes("searchsorted", out, values));
    bool fits = sorted.rank >= 1 && sorted.dtype == values.dtype && out.dtype == NPU_I64 &&
                (sorted.rank == 1 || sorted.rank == values.rank);
    for (int d = 0; fits && d + 1 < sorted.rank; ++d) fits = sorted.sizes[d] == values.sizes[d];
    if (!fits) {
      return sdk::fail(
          NPU_ERROR_INVALID_VALUE,
          "searchsorted: want i64 results, one dtype and lines of sorted elements: one "
          "for all values or one for each of their lines");
    }
    if (values.numel() == 0) return NPU_SUCCESS;
    const int64_t length = sorted.sizes[sorted.rank - 1];
    if (length == 0) return fill(out, 0, stream);
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    Tensor line = values;
    line.strides = {};
    for (int d = 0; d + 1 < sorted.rank; ++d) line.strides[d] = sorted.strides[d];
    const Tensor* const tensors[] = {&out, &values, &line};
    Iteration nest = make_iteration(tensors);
    nest.sort_by_first();
    nest.coalesce();
    if (nest.rank == 0) nest.size[nest.rank++] = 1;
    const auto type = static_cast<DType>(values.dtype);
    const Variant v{type, nest.rank, right,
                    sorted.numel() == length && length <= line_capacity_of(*machine, type)};
    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {"searchsorted", {static_cast<int64_t>(type), nest.rank, right, v.loads_line}},
        [&](const sim::Machine& m) { return build(m, v); }, &kernel));
    int64_t rounds = 0;
    while (length >> rounds != 0) ++rounds;
    Arguments args;
    args.pointer(out.data);
    args.pointer(values.data);
    args.pointer(sorted.data);
    args.integer(length);
    args.integer(sorted.strides[sorted.rank - 1]);
    args.integer(rounds);
    args.integer(int64_t{1} << (rounds - 1));
    const Tiling tiling = tiling_for(*machine, nest, capacity_of(*machine, v), 2);
    const int64_t grid = pass_strided_walk(args, nest, tiling);
    return launch(kernel, grid, args, stream);
  });
}

}  // namespace npu::kernels

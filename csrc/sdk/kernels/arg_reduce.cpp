// Extremes along one dimension and where they stand.
//
// A few long lines would leave cores idle: their parts are then reduced by a first launch, and a
// second one chooses among the parts.
#include <algorithm>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_parts.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/kernels/reduction.h"
#include "csrc/sdk/kernels/workspace.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/reduce.h"

namespace npu::kernels {
namespace {

constexpr int kLoadBuffers = 2;
enum { kIn, kValues, kIndices, kPlaces, kTensors };  // of the walk

struct Variant {
  bool largest = true;
  DType in, values;
  LineForm form = {};

  bool has(int tensor) const { return (form.left_out >> tensor & 1) == 0; }
  DType compute() const {
    return in == DType::f64 ? DType::f64 : sim::is_float(in) ? DType::f32 : DType::i64;
  }
};

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  const int64_t elements = kLoadBuffers * (sim::size_of(v.in) + sim::size_of(DType::i64));
  constexpr int64_t kLineTiles = 14;  // of eight bytes, of a quarter's capacity
  return tile_capacity(machine, elements + kLineTiles * 8 / 4, line_elements(machine));
}

// Where `places` is part of the walk, elements are the extremes of parts of `part` elements and
// stand at these places of their part.
sim::Program build_arg_reduce(const sim::Machine& machine, const Variant& v) {
  Builder b(v.largest ? "argmax" : "argmin", machine);
  const ReduceFn extreme_fn = v.largest ? ReduceFn::max : ReduceFn::min;
  const ReduceFn place_fn = v.largest ? ReduceFn::argmax : ReduceFn::argmin;
  const Pointer in = b.pointer("in");
  const Pointer values = v.has(kValues) ? b.pointer("values") : Pointer{};
  const Pointer indices = v.has(kIndices) ? b.pointer("indices") : Pointer{};
  const Pointer places = v.has(kPlaces) ? b.pointer("places") : Pointer{};
  const Value part = v.has(kPlaces) ? b.integer("part") : Value(1);
  const LineWalk walk(b, v.form, kTensors);
  const int64_t capacity = capacity_of(machine, v);
  const int64_t lines = line_capacity(machine, capacity);
  const DType compute = v.compute();
  const Tile x = b.tile("x", v.in, capacity, kLoadBuffers);
  const Tile extreme = b.tile("extreme", compute, lines);
  const Tile place = b.tile("place", DType::i64, lines);

  const auto load = [&](const Value& start, const Value& count) {
    b.load(x, in, walk.offset(kIn, start), walk.region(kIn, count));
  };
  if (walk.whole()) {
    load(0, walk.length());
    walk.reduce_tile(extreme_fn, extreme, x);
    walk.reduce_tile(place_fn, place, x);
  } else {
    const Tile found = b.tile("found", compute, lines);
    const Tile found_place = b.tile("found.place", DType::i64, lines);
    const Tile better = b.tile("better", DType::b8, lines);
    const Tile was_nan = b.tile("was_nan", DType::b8, lines);
    const Tile is_nan = b.tile("is_nan", DType::b8, lines);
    const Tile first_nan = b.tile("first_nan", DType::b8, lines);
    const Tile takes = b.tile("takes", DType::b8, lines);
    walk.fill(extreme, identity(extreme_fn, sim::is_float(compute)));
    walk.fill(place, 0);
    walk.chunks([&](const Value& start, const Value& count) {
      load(start, count);
      walk.reduce_tile(extreme_fn, found, x);
      walk.reduce_tile(place_fn, found_place, x);
      b.vector(BinaryFn::add, found_place, found_place, start);
      b.vector(v.largest ? BinaryFn::gt : BinaryFn::lt, better, found, extreme);
      if (sim::is_float(compute)) {
        // NaN is the extreme, the first one stays.
        b.vector(UnaryFn::isnan, was_nan, extreme);
        b.vector(UnaryFn::isnan, is_nan, found);
        b.vector(BinaryFn::gt, first_nan, is_nan, was_nan);
        b.vector(BinaryFn::lor, takes, better, first_nan);
      } else {
        b.vector(UnaryFn::copy, takes, better);
      }
      b.vector(TernaryFn::where, place, takes, found_place, place);
      b.vector(TernaryFn::where, extreme, takes, found, extreme);
    });
  }

  Tile index = place;
  if (v.has(kPlaces)) {
    const Tile inner = b.tile("inner", DType::i64, capacity, kLoadBuffers);
    const Tile chosen = b.tile("chosen", DType::i64, lines);
    index = b.tile("index", DType::i64, lines);
    b.load(inner, places, walk.offset(kPlaces, 0), walk.region(kPlaces, walk.length()));
    b.gather_columns(chosen, inner, place);
    b.vector(TernaryFn::fma, index, place, part, chosen);
  }
  if (v.has(kIndices)) b.store(indices, walk.offset(kIndices), walk.line_region(kIndices), index);
  if (v.has(kValues)) {
    const Tile value = b.tile("value", v.values, lines, 2);
    b.vector(UnaryFn::copy, value, extreme);
    b.store(values, walk.offset(kValues), walk.line_region(kValues), value);
  }
  return b.finish();
}

npuStatus run(bool largest, const Tensor& values, const Tensor& indices, const Tensor& in, int dim,
              const Tensor& places, int64_t part, npuStream stream) {
  const sim::Machine* machine = sdk::machine_of(stream);
  Variant v{.largest = largest,
            .in = static_cast<DType>(in.dtype),
            .values = static_cast<DType>(values.dtype)};
  const Tensor* const tensors[kTensors] = {&in, &values, &indices, &places};
  const LineNest nest = make_line_nest(tensors, dim);
  const int64_t capacity = capacity_of(*machine, v);
  v.form = choose_line_form(nest, capacity, tensors);
  // Places are chosen within rows.
  if (places.defined()) v.form.rows = v.form.whole = true;

  npuKernel kernel = nullptr;
  const auto code = [](auto value) { return static_cast<int64_t>(value); };
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {"arg_reduce", {largest, code(v.in) | code(v.values) << 8, v.form.code()}},
      [&](const sim::Machine& m) { return build_arg_reduce(m, v); }, &kernel));
  Arguments args;
  for (const Tensor* tensor : {&in, &values, &indices, &places}) {
    if (tensor->defined()) args.pointer(tensor->data);
  }
  if (places.defined()) args.integer(part);
  const int64_t grid = pass_lines(args, nest, v.form, *machine, capacity);
  return launch(kernel, grid, args, stream);
}

// Into how many equal parts each line is split: 1 where there is enough to do without.
int64_t choose_parts(const Tensor& in, int dim, const sim::Machine& machine) {
  constexpr int64_t kWorthSplitting = int64_t{1} << 17;
  if (in.rank == 0 || in.rank == kMaxRank) return 1;
  const int64_t length = in.sizes[dim];
  const int64_t lines = in.numel() / length;
  if (length < kWorthSplitting || lines >= machine.core.count) return 1;
  return equal_parts(length, ceil_div(machine.core.count, lines));
}

npuStatus run_in_parts(bool largest, const Tensor& values, const Tensor& indices, const Tensor& in,
                       int dim, int64_t parts, npuStream stream) {
  const LineParts line(in, dim, parts);
  const Tensor split = line.split(in);
  Workspace memory(stream);
  const auto value_bytes = static_cast<int64_t>(sim::size_of(static_cast<DType>(in.dtype)));
  NPU_RETURN_IF_ERROR(memory.allocate(line.count() * (value_bytes + sim::size_of(DType::i64))));
  const Tensor part_indices = line.results(memory.data(), NPU_I64);
  const Tensor part_values =
      line.results(static_cast<int64_t*>(memory.data()) + line.count(), in.dtype);
  NPU_RETURN_IF_ERROR(run(largest, line.as_elements(part_values), line.as_elements(part_indices),
                          split, dim + 1, {}, 1, stream));
  return run(largest, values, indices, part_values, dim, part_indices, line.length(), stream);
}

npuStatus check(const Tensor& result, std::string_view operand, const Tensor& in, int dim) {
  constexpr std::string_view kName = "arg_reduce";
  NPU_RETURN_IF_ERROR(check_tensor(kName, operand, result));
  Tensor expected = in;
  if (in.rank > 0) expected.sizes[dim] = 1;
  return check_same_sizes(kName, expected, result);
}

constexpr Variant kTypical = {
    .in = DType::f32,
    .values = DType::f32,
    .form = {.whole = false, .kept_dims = 1, .left_out = 1U << kValues | 1U << kPlaces}};

}  // namespace

sim::Program library_argmax(const sim::Machine& machine) {
  return build_arg_reduce(machine, kTypical);
}
sim::Program library_argmin(const sim::Machine& machine) {
  Variant v = kTypical;
  v.largest = false;
  return build_arg_reduce(machine, v);
}

npuStatus arg_reduce(bool largest, const Tensor& values, const Tensor& indices, const Tensor& in,
                     int dim, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("arg_reduce", "the input", in));
    if (dim < 0 || dim >= std::max(in.rank, 1)) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "arg_reduce: dimension {} of {}", dim, in.rank);
    }
    if (values.defined()) NPU_RETURN_IF_ERROR(check(values, "values", in, dim));
    if (indices.defined()) {
      NPU_RETURN_IF_ERROR(check(indices, "indices", in, dim));
      if (indices.dtype != NPU_I64) {
        return sdk::fail(NPU_ERROR_INVALID_VALUE, "arg_reduce: indices must be i64");
      }
    }
    if (in.rank > 0 && in.sizes[dim] == 0 && in.numel() == 0) {
      const Tensor& result = values.defined() ? values : indices;
      if (result.defined() && result.numel() > 0) {
        return sdk::fail(NPU_ERROR_INVALID_VALUE, "arg_reduce: no elements have no extreme");
      }
    }
    if (in.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const int64_t parts = choose_parts(in, dim, *machine);
    if (parts > 1) return run_in_parts(largest, values, indices, in, dim, parts, stream);
    return run(largest, values, indices, in, dim, {}, 1, stream);
  });
}

}  // namespace npu::kernels

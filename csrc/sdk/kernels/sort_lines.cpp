#include "csrc/sdk/kernels/sort_lines.h"

#include <algorithm>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_parts.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {

using sdk::Builder;
using sdk::Dim;
using sdk::DType;
using sdk::Pointer;
using sdk::Region;
using sdk::Tile;
using sdk::Value;

namespace {

// Tensors of the walk. The outputs' steps along the line are arguments of their own, and kPlace
// counts along it.
enum : int { kOutKeys, kOutPositions, kInKeys, kPlace, kInPositions };

struct Form {
  DType key = DType::f32;
  int dims = 0;
  bool descending = false;
  bool has_positions = false;
  bool keeps = false;  // writes the first elements of each part only
  bool large = false;  // the tiles take the whole scratchpad

  int64_t flags() const { return descending | has_positions << 1 | keeps << 2 | large << 3; }
  int buffers() const { return large ? 1 : 2; }
};

int64_t capacity_of(const Form& form, const sim::Machine& machine) {
  const int64_t element = sim::size_of(form.key) + sim::size_of(DType::i64);
  return tile_capacity(machine, element * 2 * form.buffers(),
                       form.large ? kUnlimited : kTileElements);
}

sim::Program build(const sim::Machine& machine, const Form& form) {
  Builder b("sort", machine);
  const Pointer out_keys = b.pointer("keys_out");
  const Pointer out_positions = b.pointer("positions_out");
  const Pointer in_keys = b.pointer("keys");
  const Pointer in_positions = form.has_positions ? b.pointer("positions") : Pointer{};
  const Value key_step = b.integer("key_step");
  const Value position_step = b.integer("position_step");
  const Value part = form.keeps ? b.integer("part") : Value(1);
  const Value keep = form.keeps ? b.integer("keep") : Value(1);
  const TileWalk walk(b, form.dims, form.has_positions ? kInPositions + 1 : kPlace + 1);
  const int64_t capacity = capacity_of(form, machine);
  const auto tile = [&](const char* name, DType type) {
    return b.tile(name, type, capacity, form.buffers());
  };
  const Tile keys = tile("k", form.key), positions = tile("p", DType::i64);
  const Tile sorted_keys = tile("sk", form.key), sorted_positions = tile("sp", DType::i64);
  const Value place = walk.offset(kPlace);
  b.load(keys, in_keys, walk.offset(kInKeys), walk.region(kInKeys));
  if (form.has_positions) {
    b.load(positions, in_positions, walk.offset(kInPositions), walk.region(kInPositions));
  } else {
    b.iota(positions, place, 1, 0, walk.rows(), walk.cols());
  }
  b.sort(sorted_keys, sorted_positions, keys, positions, form.descending);
  // Parts of `keep` elements follow each other where those of `part` elements did.
  const Value start = form.keeps ? place / part * keep : place;
  const Value kept = form.keeps ? b.min(walk.cols(), keep) : walk.cols();
  const auto write = [&](Pointer out, int tensor, const Value& step, const Tile& sorted) {
    std::vector<Dim> rows;
    for (int d = std::min(form.dims, kTileDims) - 1; d > 0; --d) {
      rows.push_back({walk.extent(d), walk.stride(tensor, d)});
    }
    b.store(out, walk.offset(tensor) + start * step, Region(rows, {{kept, step}}), sorted);
  };
  if (form.keeps) {
    b.slice(keys, sorted_keys, 0, 0, walk.rows(), kept);
    b.slice(positions, sorted_positions, 0, 0, walk.rows(), kept);
  }
  write(out_keys, kOutKeys, key_step, form.keeps ? keys : sorted_keys);
  write(out_positions, kOutPositions, position_step, form.keeps ? positions : sorted_positions);
  return b.finish();
}

int64_t lines_in(const Iteration& nest) {
  return nest.numel() / std::max<int64_t>(nest.size[0], 1);
}

}  // namespace

sim::Program library_sort(const sim::Machine& machine) {
  return build(machine, {.key = DType::f32, .dims = 2});
}

npuStatus check_sort(std::string_view kernel, const Tensor& values, const Tensor& indices,
                     const Tensor& in, int dim) {
  NPU_RETURN_IF_ERROR(check_tensor(kernel, "the input", in));
  NPU_RETURN_IF_ERROR(check_same_sizes(kernel, values, indices));
  if (values.dtype != in.dtype || indices.dtype != NPU_I64) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: the values must have the input's dtype, the indices i64", kernel);
  }
  if (dim >= 0 && dim < in.rank) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: dimension {} of a tensor of rank {}", kernel, dim,
                    in.rank);
}

Iteration make_lines(std::span<const Tensor* const> tensors, int dim) {
  Iteration nest = make_iteration(tensors);
  const Tensor& sized = *tensors.back();
  nest.rank = 0;
  const auto add = [&](int d) {
    nest.size[nest.rank] = sized.sizes[d];
    for (int t = 0; t < nest.tensors; ++t) nest.stride[t][nest.rank] = tensors[t]->strides[d];
    ++nest.rank;
  };
  add(dim);
  for (int d = sized.rank - 1; d >= 0; --d) {
    if (d == dim || sized.sizes[d] == 1) continue;
    const int before = nest.rank - 1;
    bool joins = before > 0;
    for (int t = 0; joins && t < nest.tensors; ++t) {
      joins = tensors[t]->strides[d] == nest.stride[t][before] * nest.size[before];
    }
    if (joins) {
      nest.size[before] *= sized.sizes[d];
    } else {
      add(d);
    }
  }
  return nest;
}

int64_t longest_line(const sim::Machine& machine, DType key) {
  return capacity_of({.key = key, .large = true}, machine);
}

npuStatus sort_parts(const SortedLines& out, const SortedLines& in, int dim, const SortParts& how,
                     npuStream stream) {
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
  Tensor out_keys = out.keys;
  Tensor out_positions = out.positions;
  out_keys.strides[dim] = out_positions.strides[dim] = 0;
  Tensor place = in.keys;
  place.strides = {};
  place.strides[dim] = 1;
  Form form;
  form.has_positions = in.positions.defined();
  std::array<const Tensor*, 6> tensors = {&out_keys, &out_positions, &in.keys, &place,
                                          &in.positions};
  const auto count = static_cast<size_t>(form.has_positions ? kInPositions + 1 : kPlace + 1);
  const Iteration nest = make_lines(std::span(tensors).first(count), dim);

  form.key = static_cast<DType>(in.keys.dtype);
  form.dims = nest.rank;
  form.descending = how.descending;
  form.keeps = how.keep < how.part;
  form.large = how.part > capacity_of(form, *machine);
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {"sort", {static_cast<int64_t>(form.key), form.dims, form.flags()}},
      [&](const sim::Machine& m) { return build(m, form); }, &kernel));

  Arguments args;
  args.pointer(out.keys.data);
  args.pointer(out.positions.data);
  args.pointer(in.keys.data);
  if (form.has_positions) args.pointer(in.positions.data);
  args.integer(out.keys.strides[dim]);
  args.integer(out.positions.strides[dim]);
  if (form.keeps) {
    args.integer(how.part);
    args.integer(how.keep);
  }
  Tiling tiling;
  tiling.tile[0] = how.part;
  if (how.part == nest.size[0]) {
    const int64_t elements = target_elements(*machine, nest.numel(), capacity_of(form, *machine));
    tiling = choose_tiling(nest, std::max(elements, how.part));
  } else {
    tiling.tiles[0] = ceil_div(nest.size[0], how.part);
    for (int d = 1; d < std::min(nest.rank, kTileDims); ++d) tiling.tiles[d] = nest.size[d];
    tiling.grid = tiling.tiles[0] * lines_in(nest);
  }
  pass_strided_walk(args, nest, tiling);
  return launch(kernel, tiling.grid, args, stream);
}

ScratchLines::ScratchLines(const Tensor& like, int dim, int64_t length, npuStream stream)
    : stream_(stream) {
  const int64_t n = like.numel() / like.sizes[dim] * length;
  const int64_t key_bytes = sim::size_of(static_cast<DType>(like.dtype));
  const int64_t position_bytes = sim::size_of(DType::i64);
  status_ =
      sdk::workspace_alloc(stream, static_cast<size_t>(n * (key_bytes + position_bytes)), &memory_);
  lines_.positions = contiguous_lines(like, dim, length, memory_, NPU_I64);
  lines_.keys = contiguous_lines(like, dim, length,
                                 static_cast<std::byte*>(memory_) + n * position_bytes, like.dtype);
}

ScratchLines::~ScratchLines() {
  if (memory_ != nullptr) sdk::workspace_free(stream_, memory_);
}

}  // namespace npu::kernels

#include "csrc/sdk/kernels/indexed.h"

#include <fmt/format.h>

#include <algorithm>

#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {

using sdk::BinaryFn;
using sdk::Builder;
using sdk::Dim;
using sdk::DType;
using sdk::Operand;
using sdk::Region;
using sdk::TernaryFn;
using sdk::Tile;
using sdk::Value;

namespace {

constexpr int kIndexBuffers = 2;
// Fewer elements side by side waste the bursts of the memory.
constexpr int64_t kNarrowest = 64;

int64_t index_bytes(const IndexedForm& form) {
  const int64_t wrapped = form.wraps ? sim::size_of(DType::i64) + 1 : 0;
  return form.indices * kIndexBuffers * sim::size_of(form.index) + sim::size_of(DType::i64) +
         wrapped + 3;
}

// Elements from a tensor's pointer down to its lowest one: 0 without negative strides.
int64_t below(const IndexedOperands& operands) {
  int64_t lowest = 0;
  const auto reach = [&](int64_t size, int64_t stride) {
    if (size > 0) lowest += std::min<int64_t>(0, (size - 1) * stride);
  };
  for (int d = 0; d < operands.view.rank; ++d) {
    reach(operands.view.sizes[d], operands.view.strides[d]);
  }
  for (size_t k = 0; k < operands.lengths.size(); ++k) {
    reach(operands.lengths[k], operands.strides[k]);
  }
  return -lowest;
}

}  // namespace

DType bits_of(DType type) {
  switch (sim::size_of(type)) {
    case 1:
      return DType::u8;
    case 2:
      return DType::i16;
    case 4:
      return DType::i32;
    default:
      return DType::i64;
  }
}

IndexedOperands along_dim(const Tensor& tile, const Tensor& indexed, int dim,
                          const Tensor& indices) {
  Tensor view = indexed;
  view.sizes = tile.sizes;
  view.strides[dim] = 0;
  return {tile, view, {indices}, {indexed.sizes[dim]}, {indexed.strides[dim]}, false};
}

Tensor spread(const Tensor& vector, const Tensor& tile, int dim) {
  Tensor indices = vector;
  indices.rank = tile.rank;
  indices.sizes = tile.sizes;
  indices.sizes[dim] = vector.rank == 1 ? vector.sizes[0] : 0;
  indices.strides = {};
  indices.strides[dim] = vector.strides[0];
  return indices;
}

npuStatus check_indexed_dim(std::string_view kernel, const Tensor& indexed, const Tensor& tile,
                            int dim) {
  if (dim < 0 || dim >= indexed.rank) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: dimension {} of a tensor of rank {}", kernel,
                      dim, indexed.rank);
  }
  bool covers = indexed.rank == tile.rank;
  for (int d = 0; covers && d < tile.rank; ++d) {
    covers = d == dim || tile.sizes[d] <= indexed.sizes[d];
  }
  if (covers) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE,
                    "{}: the indexed tensor is smaller than the other in a dimension other than {}",
                    kernel, dim);
}

npuStatus advanced(std::string_view kernel, const Tensor& tile, const Tensor& view,
                   TensorSpan indices, std::span<const int64_t> lengths,
                   std::span<const int64_t> strides, IndexedOperands* operands) {
  if (lengths.size() != indices.size() || strides.size() != indices.size()) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} indices, {} lengths and {} strides", kernel,
                      indices.size(), lengths.size(), strides.size());
  }
  *operands = {tile,
               view,
               {indices.begin(), indices.end()},
               {lengths.begin(), lengths.end()},
               {strides.begin(), strides.end()},
               true};
  return NPU_SUCCESS;
}

npuStatus check_indexed(std::string_view kernel, const IndexedOperands& operands) {
  NPU_RETURN_IF_ERROR(check_tensor(kernel, "an operand", operands.tile));
  NPU_RETURN_IF_ERROR(check_tensor(kernel, "the indexed tensor", operands.view));
  NPU_RETURN_IF_ERROR(check_same_sizes(kernel, operands.tile, operands.view));
  if (operands.tile.dtype != operands.view.dtype) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: the tensors are {} and {}; want one dtype",
                      kernel, sim::name(static_cast<DType>(operands.tile.dtype)),
                      sim::name(static_cast<DType>(operands.view.dtype)));
  }
  constexpr size_t kMost = kMaxIterationTensors - kFirstIndex;
  if (operands.indices.empty() || operands.indices.size() > kMost) {
    return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: {} index tensors, implemented are 1 to {}",
                      kernel, operands.indices.size(), kMost);
  }
  for (const Tensor& index : operands.indices) {
    NPU_RETURN_IF_ERROR(check_same_sizes(kernel, operands.tile, index));
    const bool fits = index.dtype == NPU_I64 || index.dtype == NPU_I32;
    if (!fits || index.dtype != operands.indices[0].dtype) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: indices are {}; want all i32 or all i64",
                        kernel, sim::name(static_cast<DType>(index.dtype)));
    }
  }
  return NPU_SUCCESS;
}

int64_t IndexedForm::key() const {
  int64_t key = dims;
  key = key << 5 | indices;
  key = key << kMaxRank << 2 | looped;
  key = key << 2 | (rows ? 1 : 0) | (wraps ? 2 : 0);
  key = key << 8 | static_cast<int64_t>(data);
  return key << 8 | static_cast<int64_t>(index);
}

Iteration indexed_nest(const IndexedOperands& operands) {
  std::vector<const Tensor*> tensors = {&operands.tile, &operands.view};
  for (const Tensor& index : operands.indices) tensors.push_back(&index);
  return make_iteration(tensors);
}

void pad_nest(Iteration& nest, int at, int count) {
  for (; count > 0; --count) {
    for (int d = nest.rank; d > at; --d) {
      nest.size[d] = nest.size[d - 1];
      for (int t = 0; t < nest.tensors; ++t) nest.stride[t][d] = nest.stride[t][d - 1];
    }
    nest.size[at] = 1;
    for (int t = 0; t < nest.tensors; ++t) nest.stride[t][at] = 0;
    ++nest.rank;
  }
}

IndexedForm form_of(const IndexedOperands& operands, const Iteration& nest) {
  IndexedForm form;
  form.dims = nest.rank;
  form.indices = static_cast<int>(operands.indices.size());
  form.wraps = operands.wraps;
  form.data = static_cast<DType>(operands.tile.dtype);
  form.index = static_cast<DType>(operands.indices[0].dtype);
  form.rows = true;
  for (int t = kFirstIndex; t < nest.tensors; ++t) form.rows &= nest.stride[t][0] == 0;
  return form;
}

IndexedCapacity indexed_capacity(const IndexedForm& form, const sim::Machine& machine,
                                 int data_tiles) {
  const int64_t data_bytes = int64_t{data_tiles} * sim::size_of(form.data);
  if (!form.rows) {
    const int64_t elements = tile_capacity(machine, index_bytes(form) + data_bytes);
    return {elements, elements};
  }
  // A quarter of the scratchpad for what steers the rows.
  constexpr int64_t kMostRows = 1024;
  const int64_t quarter = machine.scratchpad_bytes() / 4;
  const int64_t rows = std::clamp(quarter / index_bytes(form) / kTileAlignment * kTileAlignment,
                                  kTileAlignment, kMostRows);
  // The machine that tile_capacity() sees has the rest.
  return {tile_capacity(machine, data_bytes * 3 / 2), rows};
}

IndexedTiling choose_indexed_tiling(const IndexedForm& form, const Iteration& nest,
                                    const IndexedCapacity& capacity, const sim::Machine& machine) {
  IndexedTiling tiling;
  int64_t elements = capacity.data;
  // How many parts the tile's dimensions should give, so that all cores work.
  int64_t parts = 1;
  if (form.looped == 0) {
    elements = target_elements(machine, nest.numel(), elements);
  } else {
    int64_t outer = 1;
    for (int d = 2; d < nest.rank; ++d) outer *= form.is_looped(d) ? 1 : nest.size[d];
    parts = ceil_div(machine.core.count, outer);
  }
  const auto share = [&](int d, int64_t narrowest) {
    if (form.is_looped(d) || parts == 1) return nest.size[d];
    const int64_t most = std::max(narrowest, ceil_div(nest.size[d], parts));
    parts = ceil_div(parts, ceil_div(nest.size[d], most));
    return most;
  };
  tiling.tile[0] = even_part(nest.size[0], std::min(share(0, kNarrowest), elements));
  const int64_t room = std::max<int64_t>(1, std::min(elements / tiling.tile[0], capacity.index));
  tiling.tile[1] = even_part(nest.size[1], std::min(share(1, 1), room));
  for (int d = 0; d < nest.rank; ++d) {
    const int64_t count = d < 2 ? ceil_div(nest.size[d], tiling.tile[d]) : nest.size[d];
    (form.is_looped(d) ? tiling.steps : tiling.grid) *= count;
  }
  return tiling;
}

IndexedWalk::IndexedWalk(Builder& builder, const IndexedForm& form, const IndexedCapacity& capacity)
    : builder_(builder), form_(form), capacity_(capacity) {
  tile_ = builder.pointer("data");
  view_ = builder.pointer("indexed");
  base_ = builder.integer("base");
  for (int k = 0; k < form.indices; ++k) {
    index_.push_back(builder.pointer(fmt::format("index{}", k)));
    lengths_.push_back(builder.integer(fmt::format("length{}", k)));
    index_strides_.push_back(builder.integer(fmt::format("step{}", k)));
  }
  for (int d = 0; d < form.dims; ++d) {
    sizes_.push_back(builder.integer(fmt::format("size{}", d)));
    tiles_.push_back(d < 2 ? builder.integer(fmt::format("tile{}", d)) : Value(1));
    counts_.push_back(d < 2 ? builder.integer(fmt::format("tiles{}", d)) : sizes_.back());
  }
  for (int t = 0; t < kFirstIndex + form.indices; ++t) {
    auto& strides = strides_.emplace_back();
    for (int d = 0; d < form.dims; ++d) {
      strides.push_back(builder.integer(fmt::format("stride{}_{}", t, d)));
    }
  }
  if (form.looped != 0) steps_ = builder.integer("steps");
}

npuStatus pass_indexed(Arguments& args, const IndexedOperands& operands, const IndexedForm& form,
                       const Iteration& nest, const IndexedTiling& tiling) {
  const int per_dim = 1 + nest.tensors;
  const int count = 4 + 3 * form.indices + 4 + per_dim * nest.rank;
  if (count > sim::kMaxArgs) {
    return sdk::failf(NPU_ERROR_UNIMPLEMENTED,
                      "indexing by {} tensors over {} dimensions that do not merge", form.indices,
                      nest.rank);
  }
  const int64_t shift = below(operands);
  const int64_t element = sim::size_of(form.data);
  args.pointer(operands.tile.data);
  args.pointer(static_cast<std::byte*>(operands.view.data) - shift * element);
  args.integer(shift);
  for (size_t k = 0; k < operands.indices.size(); ++k) {
    args.pointer(operands.indices[k].data);
    args.integer(operands.lengths[k]);
    args.integer(operands.strides[k]);
  }
  for (int d = 0; d < nest.rank; ++d) {
    args.integer(nest.size[d]);
    if (d >= 2) continue;
    args.integer(tiling.tile[d]);
    args.integer(ceil_div(nest.size[d], tiling.tile[d]));
  }
  for (int t = 0; t < nest.tensors; ++t) {
    for (int d = 0; d < nest.rank; ++d) args.integer(nest.stride[t][d]);
  }
  if (form.looped != 0) args.integer(tiling.steps);
  return NPU_SUCCESS;
}

Value IndexedWalk::stride(int tensor, int dim) const {
  return strides_[static_cast<size_t>(tensor)][static_cast<size_t>(dim)];
}

void IndexedWalk::locate(Value counter, bool looped) {
  int last = -1;
  for (int d = 0; d < form_.dims; ++d) {
    if (form_.is_looped(d) == looped) last = d;
  }
  for (int d = 0; d <= last; ++d) {
    if (form_.is_looped(d) != looped) continue;
    const auto i = static_cast<size_t>(d);
    const Value index = d == last ? counter : counter % counts_[i];
    if (d != last) counter = counter / counts_[i];
    const Value start = index * tiles_[i];
    for (size_t t = 0; t < offset_.size(); ++t) {
      offset_[t] = offset_[t] + start * stride(static_cast<int>(t), d);
    }
    if (d < 2) extent_[i] = builder_.min(sizes_[i] - start, tiles_[i]);
  }
}

void IndexedWalk::for_each(const std::function<void()>& body) {
  offset_.assign(static_cast<size_t>(kFirstIndex + form_.indices), Value(0));
  offset_[kViewOperand] = base_;
  locate(builder_.pid(), false);
  if (form_.looped == 0) {
    body();
    return;
  }
  const std::vector<Value> start = offset_;
  builder_.loop(steps_, [&](const Value& step) {
    offset_ = start;
    locate(step, true);
    body();
  });
}

Region IndexedWalk::tile_region() const {
  return {{{rows(), stride(kTileOperand, 1)}}, {{cols(), stride(kTileOperand, 0)}}};
}

std::vector<Dim> IndexedWalk::access() const {
  if (!form_.rows) return {};
  return {{cols(), stride(kViewOperand, 0)}};
}

Tile IndexedWalk::offsets() {
  Builder& b = builder_;
  const int64_t capacity = capacity_.index;
  const Tile offsets = b.tile("offsets", DType::i64, capacity);
  const Tile valid = b.tile("valid", DType::b8, capacity);
  const Tile below = b.tile("below", DType::b8, capacity);
  const Tile all = form_.indices > 1 ? b.tile("all_valid", DType::b8, capacity) : valid;
  Tile negative, wrapped;
  if (form_.wraps) {
    negative = b.tile("negative", DType::b8, capacity);
    wrapped = b.tile("wrapped", DType::i64, capacity);
  }
  const Value width = form_.rows ? Value(1) : cols();
  b.iota(offsets, offset_[kViewOperand], form_.rows ? Value(0) : stride(kViewOperand, 0),
         stride(kViewOperand, 1), rows(), width);
  for (int k = 0; k < form_.indices; ++k) {
    const auto i = static_cast<size_t>(k);
    const int t = kFirstIndex + k;
    Tile index = b.tile(fmt::format("index{}.t", k), form_.index, capacity, kIndexBuffers);
    b.load(index, index_[i], offset_[static_cast<size_t>(t)],
           Region({{rows(), stride(t, 1)}}, {{width, stride(t, 0)}}));
    if (form_.wraps) {
      b.vector(BinaryFn::lt, negative, index, 0);
      b.vector(TernaryFn::fma, wrapped, negative, lengths_[i], index);
      index = wrapped;
    }
    b.vector(BinaryFn::ge, valid, index, 0);
    b.vector(BinaryFn::lt, below, index, lengths_[i]);
    b.vector(BinaryFn::land, k == 0 ? all : valid, valid, below);
    if (k > 0) b.vector(BinaryFn::land, all, all, valid);
    b.vector(TernaryFn::fma, offsets, index, index_strides_[i], offsets);
  }
  b.vector(TernaryFn::where, offsets, all, offsets, -1);
  return offsets;
}

IndexedForm typical_indexed_form(bool rows, int indices) {
  return {.dims = 2, .indices = indices, .rows = rows, .data = bits_of(DType::bf16)};
}

namespace {

constexpr int kDataBuffers = 2;

IndexedCapacity gather_capacity(const IndexedForm& form, const sim::Machine& machine) {
  return indexed_capacity(form, machine, kDataBuffers);
}

}  // namespace

sim::Program build_gather(std::string_view kernel, const sim::Machine& machine,
                          const IndexedForm& form) {
  const IndexedCapacity capacity = gather_capacity(form, machine);
  Builder b(std::string(kernel), machine);
  IndexedWalk walk(b, form, capacity);
  const Tile data = b.tile("tile", form.data, capacity.data, kDataBuffers);
  walk.for_each([&] {
    const Tile offsets = walk.offsets();
    b.gather(data, walk.view_pointer(), 0, offsets, 1, walk.access());
    b.store(walk.tile_pointer(), walk.tile_offset(), walk.tile_region(), data);
  });
  return b.finish();
}

npuStatus run_gather(std::string_view kernel, const IndexedOperands& operands, npuStream stream) {
  NPU_RETURN_IF_ERROR(check_indexed(kernel, operands));
  if (operands.tile.numel() == 0) return NPU_SUCCESS;
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
  Iteration nest = indexed_nest(operands);
  nest.sort_by_first();
  nest.coalesce();
  if (nest.rank < 2) pad_nest(nest, nest.rank, 2 - nest.rank);
  IndexedForm form = form_of(operands, nest);
  form.data = bits_of(form.data);
  npuKernel program = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {kernel, {form.key()}},
      [&](const sim::Machine& m) { return build_gather(kernel, m, form); }, &program));
  const IndexedTiling tiling =
      choose_indexed_tiling(form, nest, gather_capacity(form, *machine), *machine);
  Arguments args;
  NPU_RETURN_IF_ERROR(pass_indexed(args, operands, form, nest, tiling));
  return launch(program, tiling.grid, args, stream);
}

}  // namespace npu::kernels

// A stable sort of any length. Lines that the scratchpad holds are sorted there; longer ones are
// cut into parts, which are sorted and then merged in pairs. A program of a merging pass makes one
// part of the result: a binary search finds where in the two sorted runs its elements begin and
// end.
#include <limits>
#include <memory>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/sort_lines.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/index.h"

namespace npu::kernels {
namespace {

// Tensors of the walk. Scratch lines of keys and positions have the same strides; kLine has none
// along the line and kPlace counts along it.
enum : int { kOutKeys, kOutPositions, kPlace, kLine, kTensors };

int64_t merge_capacity(const sim::Machine& machine, DType key) {
  constexpr int kTiles = 3;
  return tile_capacity(machine, kTiles * (sim::size_of(key) + sim::size_of(DType::i64)),
                       kUnlimited);
}

class MergeWriter {
 public:
  MergeWriter(const sim::Machine& machine, DType key, int dims, bool descending)
      : b_("sort_merge", machine), key_(key), descending_(descending) {
    capacity_ = merge_capacity(machine, key);
    out_keys_ = b_.pointer("keys_out");
    out_positions_ = b_.pointer("positions_out");
    keys_ = b_.pointer("keys");
    positions_ = b_.pointer("positions");
    run_ = b_.integer("run");
    length_ = b_.integer("length");
    walk_ = std::make_unique<TileWalk>(b_, dims, kTensors);
  }

  sim::Program write() {
    const Value place = walk_->offset(kPlace);
    const Value count = walk_->cols();
    const Value pair = place / (run_ * 2) * (run_ * 2);
    const Value from = place - pair;
    size_a_ = b_.min(run_, length_ - pair);
    size_b_ = b_.max(b_.min(run_, length_ - pair - size_a_), 0);
    a_ = walk_->offset(kLine) + pair;
    b_start_ = a_ + size_a_;
    const Value first_a = taken_from_a(from);
    const Value last_a = taken_from_a(from + count);
    const Value count_a = last_a - first_a;
    const Value first_b = from - first_a;
    const auto join = [&](const char* name, DType type, Pointer source) {
      const Tile part = b_.tile(std::string(name) + "_part", type, capacity_);
      const Tile joined = b_.tile(name, type, capacity_);
      b_.fill(joined, 0, 1, count);
      b_.load(part, source, a_ + first_a, {{count_a, 1}});
      b_.insert(joined, part, 0, 0);
      b_.load(part, source, b_start_ + first_b, {{count - count_a, 1}});
      b_.insert(joined, part, 0, count_a);
      return joined;
    };
    const Tile keys = join("keys.t", key_, keys_);
    const Tile positions = join("positions.t", DType::i64, positions_);
    const Tile sorted_keys = b_.tile("keys.s", key_, capacity_);
    const Tile sorted_positions = b_.tile("positions.s", DType::i64, capacity_);
    b_.sort(sorted_keys, sorted_positions, keys, positions, descending_);
    b_.store(out_keys_, walk_->offset(kOutKeys), walk_->region(kOutKeys), sorted_keys);
    b_.store(out_positions_, walk_->offset(kOutPositions), walk_->region(kOutPositions),
             sorted_positions);
    return b_.finish();
  }

 private:
  // How many of the first `count` merged elements come from the first run.
  Value taken_from_a(const Value& count) {
    const Value low = b_.variable(b_.max(count - size_b_, 0));
    const Value high = b_.variable(b_.min(count, size_a_));
    constexpr int kBits = 64;
    b_.loop(kBits, [&](const Value&) {
      b_.break_if(high <= low);
      const Value middle = (low + high) / 2;
      const Value x = b_.load_scalar(keys_, a_ + middle, key_);
      const Value y = b_.load_scalar(keys_, b_start_ + (count - 1 - middle), key_);
      const Value second = descending_ ? less(x, y) : less(y, x);
      b_.set(low, b_.select(second, low, middle + 1));
      b_.set(high, b_.select(second, middle, high));
    });
    return low;
  }

  // NaN is larger than any number and equal to itself.
  Value less(const Value& x, const Value& y) {
    if (!sim::is_float(key_)) return x < y;
    return (x < y) | (is_number(x) & (is_number(y) == 0));
  }
  static Value is_number(const Value& x) {
    return (x < Value(std::numeric_limits<double>::infinity())) | (Value(0.0) < x);
  }

  Builder b_;
  DType key_;
  bool descending_;
  int64_t capacity_ = 0;
  Pointer out_keys_, out_positions_, keys_, positions_;
  Value run_ = 0, length_ = 0, size_a_ = 0, size_b_ = 0, a_ = 0, b_start_ = 0;
  std::unique_ptr<TileWalk> walk_;
};

// Merges pairs of sorted runs of `run` elements; `in` lies in scratch lines.
npuStatus merge(const SortedLines& out, const SortedLines& in, int dim, int64_t part, int64_t run,
                bool descending, npuStream stream) {
  Tensor place = in.keys;
  place.strides = {};
  place.strides[dim] = 1;
  Tensor line = in.keys;
  line.strides[dim] = 0;
  const Tensor* const tensors[] = {&out.keys, &out.positions, &place, &line};
  const Iteration nest = make_lines(tensors, dim);
  const auto key = static_cast<DType>(in.keys.dtype);
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {"sort_merge", {static_cast<int64_t>(key), nest.rank, descending}},
      [&](const sim::Machine& m) { return MergeWriter(m, key, nest.rank, descending).write(); },
      &kernel));
  Arguments args;
  args.pointer(out.keys.data);
  args.pointer(out.positions.data);
  args.pointer(in.keys.data);
  args.pointer(in.positions.data);
  args.integer(run);
  args.integer(nest.size[0]);
  Tiling tiling;
  tiling.tile[0] = part;
  tiling.tiles[0] = ceil_div(nest.size[0], part);
  tiling.grid = tiling.tiles[0];
  for (int d = 1; d < nest.rank; ++d) {
    if (d < kTileDims) tiling.tiles[d] = nest.size[d];
    tiling.grid *= nest.size[d];
  }
  pass_strided_walk(args, nest, tiling);
  return launch(kernel, tiling.grid, args, stream);
}

npuStatus sort_by_merging(const SortedLines& out, const SortedLines& in, int dim, int64_t part,
                          bool descending, npuStream stream) {
  const int64_t length = in.keys.sizes[dim];
  ScratchLines first(in.keys, dim, length, stream);
  NPU_RETURN_IF_ERROR(first.status());
  std::unique_ptr<ScratchLines> second;
  if (2 * part < length) {
    second = std::make_unique<ScratchLines>(in.keys, dim, length, stream);
    NPU_RETURN_IF_ERROR(second->status());
  }
  NPU_RETURN_IF_ERROR(sort_parts(first.lines(), in, dim,
                                 {.descending = descending, .part = part, .keep = part}, stream));
  const ScratchLines* source = &first;
  const ScratchLines* other = second.get();
  for (int64_t run = part; run < length; run *= 2) {
    const bool last = 2 * run >= length;
    NPU_RETURN_IF_ERROR(
        merge(last ? out : other->lines(), source->lines(), dim, part, run, descending, stream));
    std::swap(source, other);
  }
  return NPU_SUCCESS;
}

}  // namespace

sim::Program library_sort_merge(const sim::Machine& machine) {
  return MergeWriter(machine, DType::f32, 2, false).write();
}

npuStatus sort(const Tensor& values, const Tensor& indices, const Tensor& in, int dim,
               bool descending, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_sort("sort", values, indices, in, dim));
    NPU_RETURN_IF_ERROR(check_same_sizes("sort", in, values));
    if (in.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const auto key = static_cast<DType>(in.dtype);
    const int64_t length = in.sizes[dim];
    const int64_t lines = in.numel() / length;
    if (length <= longest_line(*machine, key)) {
      return sort_parts({values, indices}, {in, {}}, dim,
                        {.descending = descending, .part = length, .keep = length}, stream);
    }
    // As long as merging can take them, but enough of them for all cores.
    const int64_t share = ceil_div(lines * length, machine->core.count);
    const int64_t part = std::clamp(share, kTileAlignment, merge_capacity(*machine, key));
    return sort_by_merging({values, indices}, {in, {}}, dim, part, descending, stream);
  });
}

}  // namespace npu::kernels

#include "csrc/sdk/kernels/softmax_parts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_parts.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/kernels/workspace.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

// Lines of a tile: few are split.
constexpr int64_t kMostLines = kTileAlignment;
constexpr int64_t kMostParts = 64;  // of a line

struct Variant {
  DType out, in;
  bool log = false;
  int64_t parts = kMostParts;  // of a line, at most
  LineForm form = {};

  DType compute() const { return out == DType::f64 || in == DType::f64 ? DType::f64 : DType::f32; }
  std::array<int64_t, 3> key() const {
    return {static_cast<int64_t>(out) | static_cast<int64_t>(in) << 8, parts << 1 | int64_t{log},
            form.code()};
  }
  // Elements of a tile that holds the statistics of all parts of its lines.
  int64_t statistics() const { return kMostLines * parts; }
};

// Of the scratchpad, for three tiles of statistics.
constexpr int64_t kStatisticsShare = 4;
bool statistics_fit(const sim::Machine& machine, const Variant& v) {
  return 3 * v.statistics() * sim::size_of(v.compute()) <=
         machine.scratchpad_bytes() / kStatisticsShare;
}

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  constexpr int64_t kComputed = 2;  // tiles, with those of one element a line
  const int64_t bytes = load_buffers(machine) * sim::size_of(v.in) + 2 * sim::size_of(v.out) +
                        kComputed * sim::size_of(v.compute());
  return tile_capacity(machine, ceil_div(bytes * kStatisticsShare, kStatisticsShare - 1),
                       line_elements(machine));
}

// A part's maximum, or the lowest finite number if that is -inf, and the sum of its exponentials.
sim::Program build_statistics(const sim::Machine& machine, const Variant& v) {
  Builder b("softmax_statistics", machine);
  const Pointer largest_data = b.pointer("largest_data");
  const Pointer sum_data = b.pointer("sum_data");
  const Pointer in = b.pointer("in");
  const LineWalk walk(b, v.form, 3);
  enum { kIn, kLargest, kSum };
  const int64_t capacity = capacity_of(machine, v);
  const DType compute = v.compute();
  const Tile x = b.tile("x", v.in, capacity, load_buffers(machine));
  const Tile power = b.tile("power", compute, capacity);
  const Tile partial = b.tile("partial", compute, kMostLines);
  const Tile largest = b.tile("largest", compute, kMostLines);
  const Tile sum = b.tile("sum", compute, kMostLines);

  const auto load = [&](const Value& start, const Value& count) {
    b.load(x, in, walk.offset(kIn, start), walk.region(kIn, count));
    return x;
  };
  walk.reduce(ReduceFn::max, largest, partial, load);
  const double lowest = compute == DType::f64 ? std::numeric_limits<double>::lowest()
                                              : std::numeric_limits<float>::lowest();
  b.vector(BinaryFn::max, largest, largest, lowest);
  walk.reduce(ReduceFn::sum, sum, partial, [&](const Value& start, const Value& count) {
    if (!walk.whole()) load(start, count);
    b.vector(BinaryFn::sub, power, x, largest);
    b.vector(UnaryFn::exp, power, power);
    return power;
  });
  b.store(largest_data, walk.offset(kLargest), walk.line_region(kLargest), largest);
  b.store(sum_data, walk.offset(kSum), walk.line_region(kSum), sum);
  return b.finish();
}

// Results of a part, from the statistics of all parts of its line.
sim::Program build_results(const sim::Machine& machine, const Variant& v) {
  Builder b(v.log ? "log_softmax_of_parts" : "softmax_of_parts", machine);
  const Pointer out = b.pointer("out");
  const Pointer in = b.pointer("in");
  const Pointer largest_data = b.pointer("largest_data");
  const Pointer sum_data = b.pointer("sum_data");
  const Value parts = b.integer("parts");
  const LineWalk walk(b, v.form, 4);
  enum { kIn, kOut, kLargest, kSum };
  const int64_t capacity = capacity_of(machine, v);
  const DType compute = v.compute();
  const Tile all_largest = b.tile("all_largest", compute, v.statistics());
  const Tile all_sums = b.tile("all_sums", compute, v.statistics());
  const Tile weights = b.tile("weights", compute, v.statistics());
  const Tile largest = b.tile("largest", compute, kMostLines);
  const Tile sum = b.tile("sum", compute, kMostLines);
  const Tile scale = b.tile("scale", compute, kMostLines);
  const Tile x = b.tile("x", v.in, capacity, load_buffers(machine));
  const Tile shifted = b.tile("shifted", compute, capacity);
  const Tile y = b.tile("y", v.out, capacity, 2);

  b.load(all_largest, largest_data, walk.offset(kLargest, 0), walk.region(kLargest, parts));
  b.load(all_sums, sum_data, walk.offset(kSum, 0), walk.region(kSum, parts));
  walk.reduce_tile(ReduceFn::max, largest, all_largest);
  b.vector(BinaryFn::sub, weights, all_largest, largest);
  b.vector(UnaryFn::exp, weights, weights);
  b.vector(BinaryFn::mul, weights, weights, all_sums);
  walk.reduce_tile(ReduceFn::sum, sum, weights);
  b.vector(v.log ? UnaryFn::log : UnaryFn::recip, scale, sum);
  walk.chunks([&](const Value& start, const Value& count) {
    b.load(x, in, walk.offset(kIn, start), walk.region(kIn, count));
    b.vector(BinaryFn::sub, shifted, x, largest);
    if (v.log) {
      b.vector(BinaryFn::sub, y, shifted, scale);
    } else {
      b.vector(UnaryFn::exp, shifted, shifted);
      b.vector(BinaryFn::mul, y, shifted, scale);
    }
    b.store(out, walk.offset(kOut, start), walk.region(kOut, count), y);
  });
  return b.finish();
}

using Build = sim::Program (*)(const sim::Machine&, const Variant&);

// `pass` fills in the arguments before those of the walk along dimension `dim` of `tensors`.
template <typename Pass>
npuStatus run(std::string_view name, Build build, const sim::Machine& machine, Variant v,
              std::span<const Tensor* const> tensors, int dim, const Pass& pass, npuStream stream) {
  const LineNest nest = make_line_nest(tensors, dim);
  const int64_t capacity = capacity_of(machine, v);
  v.form = choose_line_form(nest, capacity, tensors);
  const auto key = v.key();
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {name, {key[0], key[1], key[2]}}, [&](const sim::Machine& m) { return build(m, v); },
      &kernel));
  Arguments args;
  pass(args);
  const int64_t grid = pass_lines(args, nest, v.form, machine, capacity, kMostLines);
  return launch(kernel, grid, args, stream);
}

Variant variant_of(const Tensor& out, const Tensor& in, bool log, int64_t parts) {
  return {.out = static_cast<DType>(out.dtype),
          .in = static_cast<DType>(in.dtype),
          .log = log,
          .parts = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(parts))),
          .form = {}};
}

constexpr Variant kTypical = {
    .out = DType::bf16, .in = DType::bf16, .parts = 2, .form = {.whole = false, .kept_dims = 2}};

}  // namespace

sim::Program library_softmax_statistics(const sim::Machine& machine) {
  return build_statistics(machine, kTypical);
}
sim::Program library_softmax_of_parts(const sim::Machine& machine) {
  return build_results(machine, kTypical);
}

int64_t parts_of_softmax(const sim::Machine& machine, const Tensor& out, const Tensor& in,
                         int dim) {
  constexpr int64_t kWorthSplitting = int64_t{1} << 16;  // two launches instead of one
  if (in.rank == 0 || in.rank == kMaxRank) return 1;
  const int64_t length = in.sizes[dim];
  const int64_t lines = in.numel() / length;
  // Lines that are columns of a tile fall to one core.
  const bool columns = in.strides[dim] != 1 && lines > 1;
  const int64_t tiles = columns ? ceil_div(lines, kMostLines) : lines;
  if (in.numel() / tiles < kWorthSplitting || 4 * tiles > machine.core.count) return 1;
  const int64_t wanted =
      std::max(ceil_div(machine.core.count, tiles), ceil_div(length, line_elements(machine)));
  const int64_t parts = equal_parts(length, std::min(wanted, kMostParts / 2));
  return statistics_fit(machine, variant_of(out, in, false, parts)) ? parts : 1;
}

npuStatus softmax_in_parts(const sim::Machine& machine, const Tensor& out, const Tensor& in,
                           int dim, bool log, int64_t parts, npuStream stream) {
  const Variant v = variant_of(out, in, log, parts);
  const LineParts line(in, dim, parts);
  const Tensor split_in = line.split(in);
  const Tensor split_out = line.split(out);
  Workspace memory(stream);
  const int64_t bytes = line.count() * sim::size_of(v.compute());
  NPU_RETURN_IF_ERROR(memory.allocate(2 * bytes));
  const auto type = static_cast<npuDataType>(v.compute());
  const Tensor largest = line.results(memory.data(), type);
  const Tensor sums = line.results(static_cast<std::byte*>(memory.data()) + bytes, type);

  const Tensor own_largest = line.as_elements(largest);
  const Tensor own_sums = line.as_elements(sums);
  const Tensor* const first[] = {&split_in, &own_largest, &own_sums};
  NPU_RETURN_IF_ERROR(run(
      "softmax_statistics", build_statistics, machine, v, first, dim + 1,
      [&](Arguments& args) {
        args.pointer(largest.data);
        args.pointer(sums.data);
        args.pointer(in.data);
      },
      stream));
  const Tensor all_largest = line.as_lines(largest);
  const Tensor all_sums = line.as_lines(sums);
  const Tensor* const second[] = {&split_in, &split_out, &all_largest, &all_sums};
  return run(
      "softmax_of_parts", build_results, machine, v, second, dim + 1,
      [&](Arguments& args) {
        args.pointer(out.data);
        args.pointer(in.data);
        args.pointer(largest.data);
        args.pointer(sums.data);
        args.integer(parts);
      },
      stream);
}

}  // namespace npu::kernels

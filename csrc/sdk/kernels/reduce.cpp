// Reductions over any dimensions.
//
// The dimensions fall into a kept and a reduced loop nest. A program takes a tile of kept elements
// and walks the reduced nest in tiles: each is reduced to one partial result for every kept
// element, which an accumulator takes up. Where few programs would leave cores idle, several
// programs share the reduced nest and a second launch reduces their results: the tree is fixed by
// sizes and machine alone.
#include "npu/kernels/reduce.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/formula.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/reduction.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/kernels/workspace.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/elementwise.h"

namespace npu::kernels {
namespace {

using sdk::Builder;
using sdk::Operand;
using sdk::Pointer;
using sdk::ReduceFn;
using sdk::Region;
using sdk::Tile;
using sdk::Value;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A reduction: what is done to elements, how they are combined, and what becomes of the result.
struct Recipe {
  Reduction op;
  std::string_view name;
  ReduceFn fn;
  bool counts;                 // elements become true or false, accumulated as integers
  const Reduction* center;     // computed first, it is in(1) of both formulas
  Expr (*before)(Formula& f);  // in(0): an element; scalar(0): the caller's
  Expr (*after)(Formula& f);   // in(0): the combined elements; scalar(0): final_scalar()
};

Expr is_set(Formula& f) { return f.in(0) != 0; }
Expr magnitude(Formula& f) { return abs(f.in(0)); }
Expr over_count(Formula& f) { return f.in(0) / f.scalar(0); }
Expr deviation(Formula& f) { return square(f.in(0) - f.in(1)); }
// Infinite maxima have differences without a meaning: exp() takes care of them unshifted.
Expr shift(Formula& f) { return where(abs(f.in(1)) == kInfinity, 0, f.in(1)); }

constexpr Reduction kMean = Reduction::mean;
constexpr Reduction kMax = Reduction::max;

constexpr Recipe kRecipes[] = {
    {Reduction::sum, "sum", ReduceFn::sum, false, nullptr, nullptr, nullptr},
    {Reduction::nansum, "nansum", ReduceFn::sum, false, nullptr,
     [](Formula& f) { return where(isnan(f.in(0)), 0, f.in(0)); }, nullptr},
    {Reduction::mean, "mean", ReduceFn::sum, false, nullptr, nullptr, over_count},
    {Reduction::prod, "prod", ReduceFn::prod, false, nullptr, nullptr, nullptr},
    {Reduction::max, "max", ReduceFn::max, false, nullptr, nullptr, nullptr},
    {Reduction::min, "min", ReduceFn::min, false, nullptr, nullptr, nullptr},
    {Reduction::any, "any", ReduceFn::max, true, nullptr, is_set, nullptr},
    {Reduction::all, "all", ReduceFn::min, true, nullptr, is_set, nullptr},
    {Reduction::norm0, "norm0", ReduceFn::sum, true, nullptr, is_set, nullptr},
    {Reduction::norm1, "norm1", ReduceFn::sum, false, nullptr, magnitude, nullptr},
    {Reduction::norm2, "norm2", ReduceFn::sum, false, nullptr,
     [](Formula& f) { return square(f.in(0)); },
     [](Formula& f) { return Formula::unary(UnaryFn::sqrt, f.in(0)); }},
    {Reduction::norm_inf, "norm_inf", ReduceFn::max, false, nullptr, magnitude, nullptr},
    {Reduction::norm_neg_inf, "norm_neg_inf", ReduceFn::min, false, nullptr, magnitude, nullptr},
    {Reduction::norm_p, "norm_p", ReduceFn::sum, false, nullptr,
     [](Formula& f) { return Formula::binary(BinaryFn::pow, abs(f.in(0)), f.scalar(0)); },
     [](Formula& f) { return Formula::binary(BinaryFn::pow, f.in(0), f.scalar(0)); }},
    {Reduction::var, "var", ReduceFn::sum, false, &kMean, deviation, over_count},
    {Reduction::std, "std", ReduceFn::sum, false, &kMean, deviation,
     [](Formula& f) { return Formula::unary(UnaryFn::sqrt, over_count(f)); }},
    {Reduction::logsumexp, "logsumexp", ReduceFn::sum, false, &kMax,
     [](Formula& f) { return exp(f.in(0) - shift(f)); },
     [](Formula& f) { return log(f.in(0)) + shift(f); }},
    {Reduction::count_nonzero, "count_nonzero", ReduceFn::sum, true, nullptr, is_set, nullptr},
};

const Recipe& recipe_of(Reduction op) {
  return *std::find_if(std::begin(kRecipes), std::end(kRecipes),
                       [&](const Recipe& recipe) { return recipe.op == op; });
}

double final_scalar(const Recipe& recipe, double count, const Scalar& scalar) {
  switch (recipe.op) {
    case Reduction::mean:
      return count;
    case Reduction::var:
    case Reduction::std:
      return std::max(count - scalar.real, 0.0);
    case Reduction::norm_p:
      return 1 / scalar.real;
    default:
      return 0;
  }
}

// ---- The program --------------------------------------------------------------------------------

// Tensors of the kept walk.
enum : int { kIn, kOut, kCenter, kKeptTensors };
constexpr int kKeptTileDims = 3;
constexpr int kReducedTileDims = 2;

struct Variant {
  const Recipe* recipe = nullptr;
  DType in = DType::f32;
  DType out = DType::f32;
  DType compute = DType::f32;  // of the formulas
  DType accumulate = DType::f32;
  bool first = true;  // elements, not results of a first launch
  bool last = true;   // the result, not a part of it
  bool rows = true;   // kept elements are rows of a tile, else columns
  int kept_dims = 0;
  int reduced_dims = 0;

  bool has_before() const { return first && recipe->before != nullptr; }
  bool has_after() const { return last && recipe->after != nullptr; }
  bool has_center() const { return recipe->center != nullptr && (has_before() || has_after()); }
  uint32_t left_out() const { return has_center() ? 0 : 1U << kCenter; }

  sdk::KernelKey key() const {
    const auto code = [](auto value) { return static_cast<int64_t>(value); };
    return {"reduce",
            {code(recipe->op), code(in) | code(out) << 8 | code(compute) << 16, code(accumulate),
             first | last << 1 | rows << 2, kept_dims, reduced_dims}};
  }
};

struct Capacity {
  int64_t elements;  // of tiles
  int64_t kept;      // of what there is once for each kept element
};

Capacity capacity_of(const Variant& v, const sim::Machine& machine) {
  constexpr int64_t kKeptShare = 4;
  constexpr int64_t kKeptTiles = 8;     // accumulator, partial result, results, temporaries, ...
  constexpr int64_t kElementTiles = 4;  // of before()
  const int64_t bytes = int64_t{sim::size_of(v.in)} * load_buffers(machine) +
                        (v.has_before() ? kElementTiles * sim::size_of(v.compute) : 0) +
                        kKeptTiles * 8 / kKeptShare;
  const int64_t elements = tile_capacity(machine, bytes);
  return {elements, std::max(elements / kKeptShare, kTileAlignment / 4)};
}

// The formula's instructions with temporaries of their own.
void emit(Builder& b, const Formula& formula, const std::string& name,
          std::span<const Operand> inputs, const Value& scalar, DType compute, int64_t capacity,
          const Tile& dst) {
  std::vector<Tile> temporaries;
  for (int i = 0; i < formula.temporaries(); ++i) {
    temporaries.push_back(b.tile(name + std::to_string(i), compute, capacity));
  }
  formula.emit(b, inputs, {&scalar, 1}, temporaries, dst);
}

sim::Program build_reduce(const Variant& v, const sim::Machine& machine) {
  Builder b(std::string(v.recipe->name), machine);
  const Capacity capacity = capacity_of(v, machine);
  const bool real = sim::is_float(v.compute);
  const Pointer in = b.pointer("in");
  const Pointer out = b.pointer("out");
  const Pointer center_data = v.has_center() ? b.pointer("centers") : Pointer{};
  const Value scalar = real ? b.real("scalar") : b.integer("scalar");
  const Value final = real ? b.real("final") : b.integer("final");
  const Value splits = b.integer("splits");
  const Value split_stride = b.integer("split_stride");
  const Value steps = b.integer("steps");
  const Value share = b.integer("share");

  const TileWalk kept(b, v.kept_dims, kKeptTensors,
                      {.prefix = "k.", .left_out = v.left_out(), .tile_number = b.pid() / splits});
  const Value split = b.pid() % splits;
  const auto kept_region = [&](int tensor) {
    return v.rows ? Region(kept.dims(tensor), {}) : Region({}, kept.dims(tensor));
  };
  const auto kept_tile = [&](const char* name, DType type, int buffers = 1) {
    return b.tile(name, type, capacity.kept, buffers);
  };
  Tile center;
  if (v.has_center()) {
    center = kept_tile("center", v.compute, 2);
    b.load(center, center_data, kept.offset(kCenter), kept_region(kCenter));
  }

  const Tile sum = kept_tile("sum", v.accumulate);
  const Tile partial = kept_tile("partial", v.accumulate);
  const Value count = kept.elements();
  b.fill(sum, identity(v.recipe->fn, sim::is_float(v.accumulate)), v.rows ? count : Value(1),
         v.rows ? Value(1) : count);
  const Tile elements = b.tile("elements", v.in, capacity.elements, load_buffers(machine));
  const Value start = split * share;
  b.loop(b.min(share, steps - start), [&](const Value& step) {
    const TileWalk reduced(b, v.reduced_dims, 1, {.prefix = "r.", .tile_number = start + step});
    const auto kept_dims = kept.dims(kIn, kKeptTileDims);
    const auto reduced_dims = reduced.dims(0, kReducedTileDims);
    b.load(elements, in, kept.offset(kIn) + reduced.offset(0),
           v.rows ? Region(kept_dims, reduced_dims) : Region(reduced_dims, kept_dims));
    Tile ready = elements;
    if (v.has_before()) {
      const DType inputs[] = {v.in, v.compute};
      Formula before(v.compute, inputs, 0);
      const DType type = v.recipe->counts ? DType::b8 : v.compute;
      before.set_result(v.recipe->before(before), type);
      ready = b.tile("ready", type, capacity.elements);
      const Operand operands[] = {elements, center};
      emit(b, before, "before", operands, scalar, v.compute, capacity.elements, ready);
    }
    b.reduce(v.recipe->fn, partial, ready, !v.rows);
    b.vector(combiner(v.recipe->fn), sum, sum, partial);
  });

  Tile result = sum;
  if (v.has_after() || v.out != v.accumulate) {
    const DType inputs[] = {v.accumulate, v.compute};
    Formula after(v.has_after() ? v.compute : v.accumulate, inputs, 0);
    after.set_result(v.has_after() ? v.recipe->after(after) : after.in(0), v.out);
    result = kept_tile("result", v.out, 2);
    const Operand operands[] = {sum, center};
    emit(b, after, "after", operands, final, v.compute, capacity.kept, result);
  }
  b.store(out, kept.offset(kOut) + split * split_stride, kept_region(kOut), result);
  return b.finish();
}

// ---- The launch ---------------------------------------------------------------------------------

struct Stage {
  Variant variant;
  Iteration kept;     // kIn, kOut, kCenter
  Iteration reduced;  // one tensor: the input
  void* in = nullptr;
  void* out = nullptr;
  void* center = nullptr;
  Scalar scalar;
  double final = 0;
};

// The strides of a contiguous tensor over the nest.
void set_contiguous(Iteration& nest, int tensor) {
  int64_t stride = 1;
  for (int d = 0; d < nest.rank; ++d) {
    nest.stride[tensor][d] = stride;
    stride *= nest.size[d];
  }
}

int64_t innermost_stride(const Iteration& nest) {
  return nest.rank == 0 ? std::numeric_limits<int64_t>::max() : std::abs(nest.stride[0][0]);
}

// A tiling's grid and arguments depend on whether the nest is linear: one description for both.
Tiling tiling_of(const Iteration& nest, int64_t elements, int tile_dims) {
  if (nest.rank > 0) return choose_tiling(nest, elements, tile_dims);
  return {};
}

void pass(Arguments& args, const Iteration& nest, int dims, const Tiling& tiling,
          uint32_t left_out) {
  if (dims == 0) {
    pass_linear_walk(args, nest.numel(), tiling.tile[0]);
  } else {
    pass_strided_walk(args, nest, tiling, left_out);
  }
}

// Into how many parts the steps of each program are split, so that cores which would be idle take
// part. Cores and memory then take less, but another launch joins the partial results.
int64_t splits_of(const sim::Machine& machine, int64_t programs, int64_t steps,
                  int64_t step_elements, int element) {
  constexpr int64_t kEvenRounds = 4;  // of programs: so many leave few cores idle
  constexpr double kJoining = 4;      // latencies of the memory
  constexpr double kWorthwhile = 0.97;
  constexpr double kReached = 0.8;  // of a core's port
  constexpr double kPasses = 8;     // of the vector engine: conversions, the reduction and its tree
  const int64_t cores = machine.core.count;
  if (programs >= kEvenRounds * cores) return 1;
  const auto elements = static_cast<double>(step_elements);
  const double step = std::max(elements * element / (kReached * machine.load_bytes_per_cycle()),
                               elements * kPasses / machine.vector.lanes);
  const double memory = static_cast<double>(programs * steps) * elements * element /
                        (machine.hbm_bytes_per_cycle() * machine.hbm_stream_efficiency());
  const double joining = kJoining * machine.hbm.latency_ns * machine.clock_ghz;
  double least = std::max(static_cast<double>(ceil_div(programs, cores) * steps) * step, memory);
  int64_t best = 1;
  for (int64_t splits = 2; splits <= std::min(cores, steps); ++splits) {
    const int64_t in_turn = ceil_div(programs * splits, cores) * ceil_div(steps, splits);
    const double cycles = std::max(static_cast<double>(in_turn) * step, memory) + joining;
    if (cycles >= kWorthwhile * least) continue;
    least = cycles;
    best = splits;
  }
  return best;
}

npuStatus run_stage(Stage& s, npuStream stream) {
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
  Variant& v = s.variant;
  s.kept.coalesce();
  s.reduced.coalesce();
  v.rows = innermost_stride(s.reduced) <= innermost_stride(s.kept);
  // A kept element alone is a row, whatever the strides of the reduced ones.
  if (s.kept.rank == 0) v.rows = true;
  const Iteration kept_memory = [&] {
    Iteration nest = s.kept;
    nest.tensors = v.has_center() ? 3 : 2;
    return nest;
  }();
  v.kept_dims = walk_dims(kept_memory);
  v.reduced_dims = walk_dims(s.reduced);

  const Capacity capacity = capacity_of(v, *machine);
  const int64_t count = s.kept.numel();
  const int64_t fair = std::clamp(ceil_div(count, machine->core.count), int64_t{1}, capacity.kept);
  Tiling kept;
  Tiling reduced;
  if (v.rows) {
    reduced = tiling_of(s.reduced, capacity.elements, kReducedTileDims);
    const int64_t room = std::max(capacity.elements / reduced.elements(), int64_t{1});
    kept = tiling_of(s.kept, std::min(room, fair), kKeptTileDims);
  } else {
    const int64_t wide = ceil_div(fair, kTileAlignment) * kTileAlignment;
    kept = tiling_of(s.kept, std::min(wide, capacity.kept), kKeptTileDims);
    reduced = tiling_of(s.reduced, capacity.elements / kept.elements(), kReducedTileDims);
  }

  const int64_t steps = reduced.grid;
  const int64_t step_elements = kept.elements() * reduced.elements();
  const int64_t most = splits_of(*machine, kept.grid, steps, step_elements, sim::size_of(v.in));
  const int64_t share = ceil_div(steps, most);
  const int64_t splits = ceil_div(steps, share);
  Workspace parts(stream);
  Stage second = s;
  if (splits > 1) {
    NPU_RETURN_IF_ERROR(parts.allocate(splits * count * sim::size_of(v.accumulate)));
    second.variant.first = false;
    second.variant.in = v.accumulate;
    second.in = parts.data();
    set_contiguous(second.kept, kIn);
    second.reduced = {.rank = 1, .tensors = 1};
    second.reduced.size[0] = splits;
    second.reduced.stride[0][0] = count;
    v.last = false;
    v.out = v.accumulate;
    s.out = parts.data();
    set_contiguous(s.kept, kOut);
  }

  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, v.key(), [&v](const sim::Machine& m) { return build_reduce(v, m); }, &kernel));
  Arguments args;
  args.pointer(s.in);
  args.pointer(s.out);
  if (v.has_center()) args.pointer(s.center);
  args.number(s.scalar, v.compute);
  args.number(s.final, v.compute);
  args.integer(splits);
  args.integer(count);
  args.integer(steps);
  args.integer(share);
  pass(args, s.kept, v.kept_dims, kept, v.left_out());
  pass(args, s.reduced, v.reduced_dims, reduced, 0);
  NPU_RETURN_IF_ERROR(launch(kernel, kept.grid * splits, args, stream));
  return splits > 1 ? run_stage(second, stream) : NPU_SUCCESS;
}

npuStatus check(std::string_view name, const Tensor& out, const Tensor& in, uint32_t reduced) {
  NPU_RETURN_IF_ERROR(check_tensor(name, "the output", out));
  NPU_RETURN_IF_ERROR(check_tensor(name, "the input", in));
  if (out.rank != in.rank) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: output of rank {}, input of rank {}", name,
                      out.rank, in.rank);
  }
  for (int d = 0; d < in.rank; ++d) {
    const bool is_reduced = (reduced >> d & 1) != 0;
    if (out.sizes[d] != (is_reduced ? 1 : in.sizes[d])) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: dimension {} of the output is {}, that of the input {}{}", name, d,
                        out.sizes[d], in.sizes[d], is_reduced ? ", reduced" : "");
    }
  }
  return NPU_SUCCESS;
}

// What is left when there is nothing to reduce.
double of_nothing(const Recipe& recipe) {
  switch (recipe.op) {
    case Reduction::mean:
    case Reduction::var:
    case Reduction::std:
      return std::numeric_limits<double>::quiet_NaN();
    case Reduction::logsumexp:
    case Reduction::max:
      return -kInfinity;
    case Reduction::min:
      return kInfinity;
    case Reduction::prod:
    case Reduction::all:
      return 1;
    default:
      return 0;
  }
}

// The kept nest's innermost dimensions are the input's.
void split_dimensions(const Tensor& out, const Tensor& in, uint32_t reduced, Stage& stage) {
  stage.kept.tensors = kKeptTensors;
  stage.reduced.tensors = 1;
  for (int d = in.rank - 1; d >= 0; --d) {
    if (in.sizes[d] == 1) continue;
    Iteration& nest = (reduced >> d & 1) != 0 ? stage.reduced : stage.kept;
    nest.size[nest.rank] = in.sizes[d];
    nest.stride[kIn][nest.rank] = in.strides[d];
    if (&nest == &stage.kept) nest.stride[kOut][nest.rank] = out.strides[d];
    ++nest.rank;
  }
  stage.kept.sort_by_first();
  stage.reduced.sort_by_first();
  set_contiguous(stage.kept, kCenter);
}

}  // namespace

std::vector<std::string_view> library_reductions() {
  std::vector<std::string_view> names;
  for (const Recipe& recipe : kRecipes) names.push_back(recipe.name);
  return names;
}

sim::Program library_reduction(std::string_view name, const sim::Machine& machine) {
  Variant v;
  v.recipe = std::find_if(std::begin(kRecipes), std::end(kRecipes),
                          [&](const Recipe& recipe) { return recipe.name == name; });
  if (v.recipe->counts) v.accumulate = v.out = DType::i64;
  v.kept_dims = v.reduced_dims = 1;
  return build_reduce(v, machine);
}

npuStatus reduce(Reduction op, const Tensor& out, const Tensor& in, uint32_t reduced, Scalar scalar,
                 npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    const Recipe& recipe = recipe_of(op);
    for (int d = 0; d < std::min(in.rank, out.rank); ++d) {
      if (out.sizes[d] == 1 && in.sizes[d] != 1) reduced |= 1U << d;
    }
    NPU_RETURN_IF_ERROR(check(recipe.name, out, in, reduced));
    if (out.numel() == 0) return NPU_SUCCESS;
    if (in.numel() == 0) return fill(out, of_nothing(recipe), stream);

    Stage stage;
    split_dimensions(out, in, reduced, stage);
    stage.in = in.data;
    stage.out = out.data;
    stage.scalar = scalar;
    stage.final = final_scalar(recipe, static_cast<double>(stage.reduced.numel()), scalar);
    Variant& v = stage.variant;
    v.recipe = &recipe;
    v.in = static_cast<DType>(in.dtype);
    v.out = static_cast<DType>(out.dtype);
    const bool doubles = v.in == DType::f64 || (!recipe.counts && v.out == DType::f64);
    const bool reals = sim::is_float(v.in) || (!recipe.counts && sim::is_float(v.out));
    v.compute = doubles ? DType::f64 : reals ? DType::f32 : DType::i64;
    v.accumulate = recipe.counts ? DType::i64 : v.compute;

    Workspace center(stream);
    if (recipe.center != nullptr) {
      NPU_RETURN_IF_ERROR(center.allocate(stage.kept.numel() * sim::size_of(v.compute)));
      Stage first = stage;
      const Recipe& inner = recipe_of(*recipe.center);
      first.variant.recipe = &inner;
      first.variant.out = v.compute;
      first.out = center.data();
      first.final = final_scalar(inner, static_cast<double>(stage.reduced.numel()), scalar);
      set_contiguous(first.kept, kOut);
      NPU_RETURN_IF_ERROR(run_stage(first, stream));
      stage.center = center.data();
    }
    return run_stage(stage, stream);
  });
}

}  // namespace npu::kernels

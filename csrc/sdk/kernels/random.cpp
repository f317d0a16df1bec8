// Random tensors. Element i in row-major order draws number `offset` + i, however the tensor is
// tiled or laid out; a formula makes the distribution from it.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numbers>

#include "csrc/sdk/kernels/formula.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/index.h"

namespace npu::kernels {
namespace {

using sdk::Builder;
using sdk::Pointer;
using sdk::RandomFn;
using sdk::Tile;
using sdk::Value;

// Tensors of the walk: kNumber counts elements in row-major order.
enum : int { kOut, kNumber, kTensors };

Expr uniform(Formula& f) {
  // Rounding must not reach the upper bound: scalar(2) is the largest number below it.
  return min(fma(f.in(0), f.scalar(1) - f.scalar(0), f.scalar(0)), f.scalar(2));
}
Expr normal(Formula& f) { return fma(f.in(0), f.scalar(1), f.scalar(0)); }
// The logarithm of 1 - u, u in [0, 1), as if u = 0 were half of the smallest other one.
Expr log_of_rest(Formula& f) { return min(log(1 - f.in(0)), f.scalar(2)); }
Expr exponential(Formula& f) { return -log_of_rest(f) / f.scalar(0); }
Expr bernoulli(Formula& f) { return f.in(0) < f.scalar(0); }
Expr log_normal(Formula& f) { return exp(normal(f)); }
Expr cauchy(Formula& f) {
  return fma(Formula::unary(UnaryFn::tan, (f.in(0) - 0.5) * std::numbers::pi), f.scalar(1),
             f.scalar(0));
}
// scalar(1) is the logarithm of 1 - p.
Expr geometric(Formula& f) {
  return max(Formula::unary(UnaryFn::ceil, log_of_rest(f) / f.scalar(1)), 1);
}
// scalar(1): how many values; 63 bits reduced to them.
Expr integer(Formula& f) {
  const Expr bits = Formula::binary(BinaryFn::and_, f.in(0), f.scalar(2));
  return Formula::binary(BinaryFn::mod, bits, f.scalar(1)) + f.scalar(0);
}
// For 2^63 values and more, as an unsigned number: bits at or above it are moved down once.
Expr wide_integer(Formula& f) {
  const Expr flipped = Formula::binary(BinaryFn::xor_, f.in(0), f.scalar(2));
  return where(flipped < f.scalar(3), f.in(0), f.in(0) - f.scalar(1)) + f.scalar(0);
}
// All of 64 bits.
Expr any_integer(Formula& f) { return f.in(0) + f.scalar(0); }

struct Form {
  const char* name;
  RandomFn draw;
  Expr (*formula)(Formula&);
};

enum WideForm : int { kWideInteger = 8, kAnyInteger, kForms };

constexpr Form kTable[kForms] = {
    {"random_uniform", RandomFn::uniform, uniform},
    {"random_normal", RandomFn::normal, normal},
    {"random_exponential", RandomFn::uniform, exponential},
    {"random_integer", RandomFn::bits, integer},
    {"random_bernoulli", RandomFn::uniform, bernoulli},
    {"random_log_normal", RandomFn::normal, log_normal},
    {"random_cauchy", RandomFn::uniform, cauchy},
    {"random_geometric", RandomFn::uniform, geometric},
    {"random_wide_integer", RandomFn::bits, wide_integer},
    {"random_any_integer", RandomFn::bits, any_integer},
};

constexpr int kScalars = 4;

struct Parameters {
  int form = 0;
  std::array<Scalar, kScalars> scalars = {};
};

DType compute_type(RandomFn draw, DType out) {
  if (draw == RandomFn::bits) return DType::i64;
  return out == DType::f64 ? DType::f64 : DType::f32;
}

// What v.random writes: uniform numbers of a short type have as few bits as it holds.
DType draw_type(int form, DType out) {
  const bool exact = kTable[form].formula == uniform;
  return exact && sim::is_float(out) ? out : compute_type(kTable[form].draw, out);
}

// The largest number of the type that is less than `bound`.
double below(double bound, DType type) {
  const int digits = type == DType::f64    ? 53
                     : type == DType::f16  ? 11
                     : type == DType::bf16 ? 8
                                           : 24;
  if (!std::isfinite(bound)) return bound;
  if (bound == 0) return type == DType::f16 ? -0x1p-24 : -0x1p-126;
  int exponent = 0;
  const double fraction = std::frexp(bound, &exponent);
  const double scaled = std::ldexp(fraction, digits);
  double next = std::ceil(scaled) - 1;
  if (scaled > 0 && next < std::ldexp(0.5, digits)) next = std::ldexp(1.0, digits - 1) - 0.5;
  return std::ldexp(next, exponent - digits);
}

Parameters parameters_of(Distribution distribution, DType out, Scalar a, Scalar b) {
  Parameters p;
  p.form = static_cast<int>(distribution);
  p.scalars = {a, b, {}, {}};
  const bool doubles = out == DType::f64;
  switch (distribution) {
    case Distribution::uniform:
      p.scalars[2] = b.real > a.real ? below(b.real, out) : a.real;
      break;
    case Distribution::exponential:
    case Distribution::geometric:
      p.scalars[2] = doubles ? -0x1p-54 : -0x1p-25;
      if (distribution == Distribution::geometric) p.scalars[1] = std::log1p(-a.real);
      break;
    case Distribution::integer: {
      const auto count = static_cast<uint64_t>(b.integer) - static_cast<uint64_t>(a.integer);
      constexpr uint64_t kHalf = uint64_t{1} << 63;
      p.scalars[1] = static_cast<int64_t>(count);
      p.scalars[2] = std::numeric_limits<int64_t>::max();
      if (count == 0) {
        p.form = kAnyInteger;
      } else if (count >= kHalf) {
        p.form = kWideInteger;
        p.scalars[2] = std::numeric_limits<int64_t>::min();
        p.scalars[3] = static_cast<int64_t>(count ^ kHalf);
      }
      break;
    }
    default:
      break;
  }
  return p;
}

Formula make_formula(int form, DType out) {
  const DType drawn = draw_type(form, out);
  Formula formula(compute_type(kTable[form].draw, out), {&drawn, 1}, 0);
  formula.set_result(kTable[form].formula(formula), out);
  return formula;
}

int64_t capacity_of(const sim::Machine& machine, int form, DType out) {
  constexpr int64_t kMostTemporaries = 4;
  const int64_t compute = sim::size_of(compute_type(kTable[form].draw, out));
  return tile_capacity(machine, sim::size_of(draw_type(form, out)) + kMostTemporaries * compute +
                                    2 * sim::size_of(out));
}

sim::Program build(const sim::Machine& machine, int form, DType out_type, int dims) {
  const Form& entry = kTable[form];
  Builder b(entry.name, machine);
  const DType compute = compute_type(entry.draw, out_type);
  const Pointer out = b.pointer("out");
  const Value seed = b.integer("seed");
  const Value first = b.integer("first");
  std::vector<Value> scalars;
  for (int i = 0; i < kScalars; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    scalars.push_back(sim::is_float(compute) ? b.real(name) : b.integer(name));
  }
  const TileWalk walk(b, dims, kTensors);
  const int64_t capacity = capacity_of(machine, form, out_type);
  const Formula formula = make_formula(form, out_type);
  const Tile drawn = b.tile("drawn", draw_type(form, out_type), capacity);
  const Tile result = b.tile("result", out_type, capacity, 2);
  std::vector<Tile> temporaries;
  for (int i = 0; i < formula.temporaries(); ++i) {
    temporaries.push_back(b.tile(fmt::format("tmp{}", i), compute, capacity));
  }
  b.random(entry.draw, drawn, seed, first + walk.offset(kNumber), walk.rows(), walk.cols());
  const sdk::Operand operand = drawn;
  formula.emit(b, {&operand, 1}, scalars, temporaries, result);
  b.store(out, walk.offset(kOut), walk.region(kOut), result);
  return b.finish();
}

}  // namespace

std::vector<std::string_view> library_randoms() {
  std::vector<std::string_view> names;
  for (const Form& form : kTable) names.emplace_back(form.name);
  return names;
}

sim::Program library_random(std::string_view name, const sim::Machine& machine) {
  const auto* entry = std::ranges::find(kTable, name, &Form::name);
  const auto form = static_cast<int>(entry - std::begin(kTable));
  const bool integers = entry->draw == RandomFn::bits;
  return build(machine, form, integers ? DType::i64 : DType::f32, 0);
}

npuStatus random(Distribution distribution, const Tensor& out, Scalar a, Scalar b, uint64_t seed,
                 uint64_t offset, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("random", "the output", out));
    if (out.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const auto type = static_cast<DType>(out.dtype);
    const Parameters p = parameters_of(distribution, type, a, b);
    Tensor number = out;
    int64_t inner = 1;
    for (int d = out.rank - 1; d >= 0; --d) {
      number.strides[d] = inner;
      inner *= out.sizes[d];
    }
    // Unsorted: the elements of a tile are numbered one after the other.
    const Tensor* const tensors[] = {&out, &number};
    Iteration nest = make_iteration(tensors);
    nest.coalesce();
    const int dims = walk_dims(nest);

    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {kTable[p.form].name, {static_cast<int64_t>(type), dims}},
        [&](const sim::Machine& m) { return build(m, p.form, type, dims); }, &kernel));
    Arguments args;
    args.pointer(out.data);
    args.integer(static_cast<int64_t>(seed));
    args.integer(static_cast<int64_t>(offset));
    const DType compute = compute_type(kTable[p.form].draw, type);
    for (const Scalar& scalar : p.scalars) args.number(scalar, compute);
    const int64_t capacity = capacity_of(*machine, p.form, type);
    const int64_t grid = pass_walk(args, nest, dims, *machine, capacity);
    return launch(kernel, grid, args, stream);
  });
}

}  // namespace npu::kernels

// out = activation(alpha * (a @ b) + beta * bias): a program for each [m, n] tile of the output
// walks k with rotating buffers and applies the epilogue on the accumulators. Where k is split,
// programs write partial sums, and a second launch adds them up.
#include <algorithm>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_tile.h"
#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {
namespace {

using sdk::Builder;
using sdk::Pointer;
using sdk::Region;
using sdk::Tile;
using sdk::Value;

DType accumulator_of(DType type) {
  if (type == DType::f64) return DType::f64;
  return sim::is_float(type) ? DType::f32 : DType::i64;
}

Expr activate(const Expr& x, Activation activation) {
  constexpr double kSqrt2 = std::numbers::sqrt2;
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return max(x, 0);
    case Activation::gelu:
      return 0.5 * x * (1 + erf(x * (1 / kSqrt2)));
    case Activation::gelu_tanh: {
      constexpr double kBeta = kSqrt2 * std::numbers::inv_sqrtpi;
      return 0.5 * x * (1 + tanh(kBeta * (x + 0.044715 * (square(x) * x))));
    }
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
  }
  return x;
}

// Strides of batch, row and column.
using Strides = std::array<Value, 3>;
Strides stride_arguments(Builder& b, const std::string& name) {
  return {b.integer(name + "_batch"), b.integer(name + "_row"), b.integer(name + "_col")};
}

std::vector<Value> scalar_arguments(Builder& b, const MatmulForm& form) {
  std::vector<Value> scalars;
  if (!form.scaled) return scalars;
  const bool reals = sim::is_float(form.accumulator());
  for (const char* name : {"alpha", "beta"}) {
    scalars.push_back(reals ? b.real(name) : b.integer(name));
  }
  return scalars;
}

}  // namespace

bool MatmulForm::has_epilogue() const {
  return scaled || scales_rows || bias != Bias::none || activation != Activation::none;
}

DType MatmulForm::accumulator() const { return accumulator_of(type); }

bool MatmulForm::stores_accumulator() const { return !has_epilogue() && out_type == accumulator(); }

Formula MatmulForm::epilogue() const {
  const std::array<DType, 2> inputs = {accumulator(), scales_rows ? DType::f32 : bias_type};
  const bool alone = bias == Bias::none && !scales_rows;
  Formula formula(accumulator(), std::span(inputs).first(alone ? 1 : 2), 0);
  Expr x = formula.in(0);
  if (scales_rows) x = x * formula.in(1);
  if (scaled) x = formula.scalar(0) * x;
  if (bias != Bias::none) x = x + (scaled ? formula.scalar(1) * formula.in(1) : formula.in(1));
  formula.set_result(activate(x, activation), out_type);
  return formula;
}

MatmulForm MatmulForm::partial() const {
  MatmulForm form;
  form.type = type;
  form.out_type = accumulator();
  form.transpose_a = transpose_a;
  form.transpose_b = transpose_b;
  return form;
}

MatmulForm MatmulForm::ungrouped() const {
  MatmulForm form = *this;
  form.groups = Groups::none;
  form.gathers = form.scatters = form.scales_rows = form.walks_groups = false;
  return form;
}

MatmulProblem MatmulForm::problem(int64_t batch, int64_t m, int64_t n, int64_t k) const {
  return {*this, batch, m, n, k};
}

std::array<int64_t, 2> MatmulForm::code() const {
  const int64_t types =
      static_cast<int64_t>(type) | static_cast<int64_t>(out_type) << 8 |
      static_cast<int64_t>(bias_type) << 16 | static_cast<int64_t>(ends_type) << 24 |
      static_cast<int64_t>(gather_type) << 32 | static_cast<int64_t>(scatter_type) << 40;
  const int64_t forms = int64_t{transpose_a} | int64_t{transpose_b} << 1 | int64_t{scaled} << 2 |
                        static_cast<int64_t>(bias) << 4 | static_cast<int64_t>(activation) << 8 |
                        static_cast<int64_t>(groups) << 16 | int64_t{gathers} << 18 |
                        int64_t{scatters} << 19 | int64_t{scales_rows} << 20 |
                        int64_t{walks_groups} << 21;
  return {types, forms};
}

MatmulFootprint matmul_footprint(const MatmulForm& form) {
  const int accumulator = sim::size_of(form.accumulator());
  MatmulFootprint bytes;
  bytes.accumulator = accumulator;
  if (!form.stores_accumulator()) {
    bytes.result = bytes.next_result = sim::size_of(form.out_type);
  }
  if (form.has_epilogue()) bytes.result += form.epilogue().temporaries() * accumulator;
  const int bias = kBiasBuffers * sim::size_of(form.bias_type);
  if (form.bias == MatmulForm::Bias::full) bytes.result += bias;
  if (form.bias == MatmulForm::Bias::row) bytes.column = bias;
  if (form.bias == MatmulForm::Bias::column) bytes.row = bias;
  const auto add_index = [&](DType type) {
    bytes.row += kIndexBuffers * (sim::size_of(type) + sim::size_of(DType::i64));
    bytes.row += sim::size_of(DType::b8);
    bytes.row_buffers += 2 * kIndexBuffers + 1;
  };
  if (form.gathers) add_index(form.gather_type);
  if (form.scatters) add_index(form.scatter_type);
  if (form.scales_rows) {
    bytes.row += kIndexBuffers * sim::size_of(DType::f32);
    bytes.row_buffers += kIndexBuffers;
  }
  return bytes;
}

sdk::KernelKey matmul_key(const MatmulForm& form, const MatmulTiling& tiling) {
  const auto [types, forms] = form.code();
  const int64_t counts = int64_t{tiling.load_buffers} | int64_t{tiling.accumulators} << 8 |
                         int64_t{tiling.splits > 1} << 16 | int64_t{tiling.cluster_rows} << 24 |
                         int64_t{tiling.cluster_cols} << 40;
  return {"gemm", {types, forms, tiling.m << 32 | tiling.n, tiling.k << 32 | tiling.chunk, counts}};
}

sim::Program build_matmul(const sim::Machine& machine, const MatmulForm& whole_form,
                          const MatmulTiling& tiling) {
  const bool split = tiling.splits > 1;
  const MatmulForm form = split ? whole_form.partial() : whole_form;
  Builder b("gemm", machine);
  const Pointer out = b.pointer("out");
  const Pointer lhs = b.pointer("a");
  const Pointer rhs = b.pointer("b");
  const bool has_bias = form.bias != MatmulForm::Bias::none;
  const Pointer bias = has_bias ? b.pointer("bias") : Pointer{};
  const Value m = b.integer("m");
  const Value n = b.integer("n");
  const Value whole_k = b.integer("k");
  const Strides out_stride = stride_arguments(b, "out");
  const Strides a_stride = stride_arguments(b, "a");
  const Strides b_stride = stride_arguments(b, "b");
  const Strides bias_stride = has_bias ? stride_arguments(b, "bias") : Strides{0, 0, 0};
  const Value split_length = split ? b.integer("split_length") : Value(0);
  const Value batches = split ? b.integer("batches") : Value(0);
  const std::vector<Value> scalars = scalar_arguments(b, form);

  // Neighbouring programs, or clusters of them, share the columns of b. Partial sums lie as a
  // further batch dimension.
  const bool clustered = tiling.cluster() > 1;
  if (clustered) b.cluster(tiling.cluster_rows, tiling.cluster_cols);
  const Value group = clustered ? b.pid() / tiling.cluster() : b.pid();
  const int64_t group_rows = tiling.m * tiling.cluster_rows;
  const int64_t group_cols = tiling.n * tiling.cluster_cols;
  const Value down = b.ceil_div(m, group_rows);
  const Value across = b.ceil_div(n, group_cols);
  const Value outer = group / down;
  const Value out_batch = outer / across;
  Value row = (group % down) * group_rows;
  Value col = (outer % across) * group_cols;
  if (clustered) {
    row = row + b.cluster_row() * tiling.m;
    col = col + b.cluster_col() * tiling.n;
    b.if_((m <= row) | (n <= col), [&] { b.exit(); });
  }
  const Value batch = split ? out_batch % batches : out_batch;
  const Value first = split ? (out_batch / batches) * split_length : Value(0);
  const Value k = split ? b.min(whole_k - first, split_length) : whole_k;
  const Value rows = b.min(m - row, tiling.m);
  const Value cols = b.min(n - col, tiling.n);
  const Value a_start = batch * a_stride[0] + row * a_stride[1] + first * a_stride[2];
  const Value b_start = batch * b_stride[0] + first * b_stride[1] + col * b_stride[2];

  const TileProduct product(b, form, tiling, cols);
  const bool by_row = form.bias != MatmulForm::Bias::row;
  const bool by_col = form.bias != MatmulForm::Bias::column;
  std::vector<std::optional<Tile>> bias_tiles(static_cast<size_t>(tiling.chunks()));
  for (size_t i = 0; has_bias && i < bias_tiles.size(); ++i) {
    const std::string number = bias_tiles.size() > 1 ? std::to_string(i) : "";
    const int64_t capacity = (by_row ? tiling.m : 1) * (by_col ? tiling.chunk : 1);
    bias_tiles[i] = i > 0 && by_row
                        ? bias_tiles[0]
                        : b.tile("bias_tile" + number, form.bias_type, capacity, kBiasBuffers);
  }
  const auto load_bias = [&](const TileProduct::Chunk& chunk) {
    const Value bias_rows = by_row ? rows : Value(1);
    const Value bias_cols = by_col ? chunk.cols : Value(1);
    b.load(*bias_tiles[chunk.number], bias,
           batch * bias_stride[0] + row * bias_stride[1] + (col + chunk.start) * bias_stride[2],
           Region({{bias_rows, bias_stride[1]}}, {{bias_cols, bias_stride[2]}}));
  };

  // A bias that is repeated is small and comes first: behind the operands it would hold up those of
  // the next program.
  if (form.bias == MatmulForm::Bias::row) product.for_each_chunk(load_bias);
  if (form.bias == MatmulForm::Bias::column) load_bias(product.first_chunk());
  const TileEpilogue epilogue(b, form, tiling.m * tiling.chunk, tiling.chunks() > 1 ? 2 : 1);
  const auto load = [&](const Value& start, const Value& depth) {
    b.load(product.a_tile(), lhs, a_start + start * a_stride[2],
           operand_region({rows, a_stride[1]}, {depth, a_stride[2]}, form.transpose_a),
           tiling.cluster_cols > 1 ? sdk::Share::across : sdk::Share::none);
    product.load_columns(rhs, b_start + start * b_stride[1], {depth, b_stride[1]}, b_stride[2],
                         tiling.cluster_rows > 1 ? sdk::Share::down : sdk::Share::none);
  };
  product.run(rows, k, load, [&](const TileProduct::Chunk& chunk) {
    if (form.bias == MatmulForm::Bias::full) load_bias(chunk);
    const Tile result = epilogue.apply(chunk.acc, bias_tiles[chunk.number], scalars);
    b.store(out,
            out_batch * out_stride[0] + row * out_stride[1] + (col + chunk.start) * out_stride[2],
            Region({{rows, out_stride[1]}}, {{chunk.cols, out_stride[2]}}), result);
  });
  return b.finish();
}

int64_t matmul_grid(const MatmulProblem& problem, const MatmulTiling& tiling) {
  return problem.batch * tiling.splits * tiling.cluster() *
         ceil_div(problem.m, tiling.m * tiling.cluster_rows) *
         ceil_div(problem.n, tiling.n * tiling.cluster_cols);
}

int64_t matmul_split_length(const sim::Machine& machine, int64_t k, int splits) {
  const int64_t unit = machine.matrix.rows;
  return ceil_div(ceil_div(k, splits), unit) * unit;
}

// ---- Adding up partial sums ---------------------------------------------------------------------

namespace {

struct CombineCapacity {
  int64_t columns = 0;  // of a program
  int64_t sums = 0;     // elements of the tile of partial sums
};

CombineCapacity combine_capacity(const sim::Machine& machine, const MatmulForm& form) {
  constexpr int64_t kColumns = 1024;
  constexpr int64_t kSums = 16384;
  const MatmulFootprint bytes = matmul_footprint(form);
  const int64_t a_column =
      2 * bytes.accumulator + bytes.result + bytes.next_result + bytes.column + bytes.row;
  const int64_t half = machine.scratchpad_bytes() / 2 - 64 * 16;  // less what alignment may take
  return {std::min(kColumns, half / a_column),
          std::min(kSums, half / (kPartialBuffers * bytes.accumulator))};
}

}  // namespace

sdk::KernelKey matmul_combine_key(const MatmulForm& form) {
  const auto [types, forms] = form.code();
  return {"gemm_combine", {types, forms}};
}

int64_t matmul_combine_columns(const sim::Machine& machine, const MatmulProblem& problem,
                               int splits) {
  const CombineCapacity capacity = combine_capacity(machine, problem.form);
  const int64_t most = std::max<int64_t>(1, std::min(capacity.columns, capacity.sums / splits));
  const int64_t rows = problem.batch * problem.m;
  const int64_t even = ceil_div(rows * problem.n, machine.core.count);
  const int64_t least = std::min<int64_t>(most, kTileAlignment);
  return std::min(std::clamp(even, least, most), problem.n);
}

sim::Program build_matmul_combine(const sim::Machine& machine, const MatmulForm& form) {
  Builder b("gemm_combine", machine);
  const Pointer out = b.pointer("out");
  const Pointer partial = b.pointer("partial");
  const bool has_bias = form.bias != MatmulForm::Bias::none;
  const Pointer bias = has_bias ? b.pointer("bias") : Pointer{};
  const Value splits = b.integer("splits");
  const Value all_rows = b.integer("rows");
  const Value m = b.integer("m");
  const Value n = b.integer("n");
  const Value width = b.integer("columns");
  const Strides out_stride = stride_arguments(b, "out");
  const Strides bias_stride = has_bias ? stride_arguments(b, "bias") : Strides{0, 0, 0};
  const std::vector<Value> scalars = scalar_arguments(b, form);

  const CombineCapacity capacity = combine_capacity(machine, form);
  const DType acc_type = form.accumulator();
  const Tile parts = b.tile("parts", acc_type, capacity.sums, kPartialBuffers);
  const Tile sum = b.tile("sum", acc_type, capacity.columns, 2);

  const Value col_tiles = b.ceil_div(n, width);
  const Value line = b.pid() / col_tiles;
  const Value col = (b.pid() % col_tiles) * width;
  const Value cols = b.min(n - col, width);
  const Value batch = line / m;
  const Value row = line % m;
  b.load(parts, partial, line * n + col, Region({{splits, all_rows * n}}, {{cols, 1}}));
  std::optional<Tile> bias_tile;
  if (has_bias) {
    const bool wide = form.bias != MatmulForm::Bias::column;
    bias_tile = b.tile("bias_tile", form.bias_type, wide ? capacity.columns : 1, kBiasBuffers);
    b.load(*bias_tile, bias, batch * bias_stride[0] + row * bias_stride[1] + col * bias_stride[2],
           Region{{wide ? cols : Value(1), bias_stride[2]}});
  }
  b.reduce(sdk::ReduceFn::sum, sum, parts, true);
  const TileEpilogue epilogue(b, form, capacity.columns, 2);
  const Tile result = epilogue.apply(sum, bias_tile, scalars);
  b.store(out, batch * out_stride[0] + row * out_stride[1] + col * out_stride[2],
          Region{{cols, out_stride[2]}}, result);
  return b.finish();
}

}  // namespace npu::kernels

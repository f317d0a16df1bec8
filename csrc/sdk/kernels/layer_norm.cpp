// y = (x - mean) * rsqrt(var + eps) * weight + bias over contiguous rows.
#include <array>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/reduce.h"

namespace npu::kernels {
namespace {

enum { kX, kY, kMean, kRstd, kTensors };  // of the walk

struct Variant {
  DType y, x, statistics, weight, bias;
  bool has_weight = false;
  bool has_bias = false;
  LineForm form = {};

  bool has(int tensor) const { return (form.left_out >> tensor & 1) == 0; }
  DType compute() const { return x == DType::f64 || y == DType::f64 ? DType::f64 : DType::f32; }
  int64_t types() const {
    const auto code = [](DType type, int place) { return static_cast<int64_t>(type) << 8 * place; };
    return code(y, 0) | code(x, 1) | code(statistics, 2) | code(weight, 3) | code(bias, 4);
  }
};

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  int64_t bytes = 2 * sim::size_of(v.y) + load_buffers(machine) * sim::size_of(v.x);
  bytes += 3 * sim::size_of(v.compute());  // intermediate results
  if (v.has_weight) bytes += load_buffers(machine) * sim::size_of(v.weight);
  if (v.has_bias) bytes += load_buffers(machine) * sim::size_of(v.bias);
  constexpr int64_t kLineTiles = 11;  // tiles with one element a line, of a quarter's capacity
  return tile_capacity(machine, bytes + kLineTiles * sim::size_of(v.compute()) / 4,
                       line_elements(machine));
}

sim::Program build_layer_norm(const sim::Machine& machine, const Variant& v) {
  Builder b("layer_norm", machine);
  const auto optional = [&](bool present, const char* name) {
    return present ? b.pointer(name) : Pointer{};
  };
  const Pointer y_data = b.pointer("y_data");
  const Pointer x_data = b.pointer("x_data");
  const Pointer mean_data = optional(v.has(kMean), "mean_data");
  const Pointer rstd_data = optional(v.has(kRstd), "rstd_data");
  const Pointer weight_data = optional(v.has_weight, "weight_data");
  const Pointer bias_data = optional(v.has_bias, "bias_data");
  const Value eps = b.real("eps");
  const Value columns = b.integer("columns");

  const int64_t capacity = capacity_of(machine, v);
  const int64_t lines = line_capacity(machine, capacity);
  const DType compute = v.compute();
  const Tile x = b.tile("x", v.x, capacity, load_buffers(machine));
  const Tile centered = b.tile("centered", compute, capacity);
  const Tile squares = b.tile("squares", compute, capacity);
  const Tile scaled = b.tile("scaled", compute, capacity);
  const Tile y = b.tile("y", v.y, capacity, 2);
  const Tile partial = b.tile("partial", compute, lines);
  const Tile sum = b.tile("sum", compute, lines);
  const Tile mean = b.tile("mean", compute, lines, 2);
  const Tile variance = b.tile("variance", compute, lines);
  const Tile rstd = b.tile("rstd", compute, lines, 2);
  const auto statistic = [&](int tensor, const char* name) {
    return v.has(tensor) ? b.tile(name, v.statistics, lines, 2) : Tile{};
  };
  const Tile mean_out = statistic(kMean, "mean.out");
  const Tile rstd_out = statistic(kRstd, "rstd.out");
  const auto parameter = [&](bool present, const char* name, DType type) {
    return present ? b.tile(name, type, capacity, load_buffers(machine)) : Tile{};
  };
  const Tile weight = parameter(v.has_weight, "weight", v.weight);
  const Tile bias = parameter(v.has_bias, "bias", v.bias);
  const auto load_parameters = [&](const Value& start, const Value& count) {
    if (v.has_weight) b.load(weight, weight_data, start, Region({}, {{count, 1}}));
    if (v.has_bias) b.load(bias, bias_data, start, Region({}, {{count, 1}}));
  };

  if (v.form.whole) load_parameters(0, columns);
  each_tile(b, [&](const Value& number) {
    const LineWalk walk(b, v.form, kTensors, number);
    const Value length = b.to_real(walk.length());
    const auto load = [&](const Value& start, const Value& count) {
      b.load(x, x_data, walk.offset(kX, start), walk.region(kX, count));
      return x;
    };
    const auto center = [&](const Value& start, const Value& count) {
      if (!walk.whole()) load(start, count);
      b.vector(BinaryFn::sub, centered, x, mean);
    };
    walk.reduce(ReduceFn::sum, sum, partial, load);
    b.vector(BinaryFn::div, mean, sum, length);
    walk.reduce(ReduceFn::sum, sum, partial, [&](const Value& start, const Value& count) {
      center(start, count);
      b.vector(UnaryFn::square, squares, centered);
      return squares;
    });
    b.vector(BinaryFn::div, variance, sum, length);
    b.vector(BinaryFn::add, variance, variance, eps);
    b.vector(UnaryFn::rsqrt, rstd, variance);

    const auto store_statistic = [&](int tensor, Pointer to, const Tile& stored, const Tile& tile) {
      if (!v.has(tensor)) return;
      b.vector(UnaryFn::copy, stored, tile);
      b.store(to, walk.offset(tensor), walk.line_region(tensor), stored);
    };
    store_statistic(kMean, mean_data, mean_out, mean);
    store_statistic(kRstd, rstd_data, rstd_out, rstd);

    walk.chunks([&](const Value& start, const Value& count) {
      if (!walk.whole()) {
        center(start, count);
        load_parameters(start, count);
      }
      if (v.has_weight) b.vector(BinaryFn::mul, scaled, centered, rstd);
      if (v.has_weight && v.has_bias) {
        b.vector(TernaryFn::fma, y, scaled, weight, bias);
      } else if (v.has_weight) {
        b.vector(BinaryFn::mul, y, scaled, weight);
      } else if (v.has_bias) {
        b.vector(TernaryFn::fma, y, centered, rstd, bias);
      } else {
        b.vector(BinaryFn::mul, y, centered, rstd);
      }
      b.store(y_data, walk.offset(kY, start), walk.region(kY, count), y);
    });
  });
  return b.finish();
}

npuStatus check(const Tensor& y, const Tensor& mean, const Tensor& rstd, const Tensor& x,
                const Tensor& weight, const Tensor& bias) {
  constexpr std::string_view kName = "layer_norm";
  NPU_RETURN_IF_ERROR(check_tensor(kName, "x", x));
  NPU_RETURN_IF_ERROR(check_tensor(kName, "y", y));
  NPU_RETURN_IF_ERROR(check_same_sizes(kName, x, y));
  if (x.rank != 2) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: x has rank {}, 2 is expected", kName, x.rank);
  }
  for (const Tensor* vector : {&weight, &bias}) {
    if (!vector->defined()) continue;
    NPU_RETURN_IF_ERROR(check_tensor(kName, "weight or bias", *vector));
    if (vector->rank != 1 || vector->sizes[0] != x.sizes[1] ||
        (vector->strides[0] != 1 && vector->sizes[0] != 1)) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: weight and bias must be {} contiguous elements", kName, x.sizes[1]);
    }
  }
  for (const Tensor* statistic : {&mean, &rstd}) {
    if (!statistic->defined()) continue;
    NPU_RETURN_IF_ERROR(check_tensor(kName, "mean or rstd", *statistic));
    if (statistic->rank != 1 || statistic->sizes[0] != x.sizes[0]) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: mean and rstd must have {} elements", kName,
                        x.sizes[0]);
    }
  }
  if (mean.defined() && rstd.defined() && mean.dtype != rstd.dtype) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: mean and rstd must have one dtype", kName);
  }
  return NPU_SUCCESS;
}

// A vector with one element a row, as a matrix of the walk.
Tensor as_column(const Tensor& vector) {
  Tensor column = vector;
  column.rank = 2;
  column.sizes[1] = 1;
  return column;
}

}  // namespace

sim::Program library_layer_norm(const sim::Machine& machine) {
  return build_layer_norm(machine, {.y = DType::bf16,
                                    .x = DType::bf16,
                                    .statistics = DType::f32,
                                    .weight = DType::bf16,
                                    .bias = DType::bf16,
                                    .has_weight = true,
                                    .has_bias = true,
                                    .form = {.kept_dims = 1}});
}

npuStatus layer_norm(const Tensor& y, const Tensor& mean, const Tensor& rstd, const Tensor& x,
                     const Tensor& weight, const Tensor& bias, double eps, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check(y, mean, rstd, x, weight, bias));
    if (x.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    const auto type = [](const Tensor& tensor) { return static_cast<DType>(tensor.dtype); };
    Variant v{.y = type(y),
              .x = type(x),
              .statistics = type(mean.defined() ? mean : rstd),
              .weight = type(weight),
              .bias = type(bias)};
    v.has_weight = weight.defined();
    v.has_bias = bias.defined();
    const Tensor means = as_column(mean);
    const Tensor rstds = as_column(rstd);
    const Tensor* const tensors[kTensors] = {&x, &y, &means, &rstds};
    const LineNest nest = make_line_nest(tensors, 1);
    const int64_t capacity = capacity_of(*machine, v);
    v.form = choose_line_form(nest, capacity, tensors);
    v.form.rows = true;
    v.form.whole = nest.length <= capacity;

    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {"layer_norm", {v.types(), v.form.code(), v.has_weight | v.has_bias << 1}},
        [&](const sim::Machine& m) { return build_layer_norm(m, v); }, &kernel));
    Arguments args;
    for (const Tensor* tensor : {&y, &x, &mean, &rstd, &weight, &bias}) {
      if (tensor->defined()) args.pointer(tensor->data);
    }
    args.real(eps);
    args.integer(nest.length);
    Arguments lines;
    const int64_t tiles = pass_lines(lines, nest, v.form, *machine, capacity);
    return launch(kernel, pass_tiles(args, lines, *machine, tiles), args, stream);
  });
}

}  // namespace npu::kernels

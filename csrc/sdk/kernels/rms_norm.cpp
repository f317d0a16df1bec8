// y = x * rsqrt(mean(x^2) + eps) * (weight + offset), alone or after adding to a residual stream.
#include <array>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/reduce.h"

namespace npu::kernels {
namespace {

enum { kX, kY, kResidual, kRstd, kTensors };  // of the walk

struct Variant {
  DType y, x, residual, weight;
  bool adds = false;  // x to the residual, which is what is normalised
  bool has_weight = false;
  bool has_offset = false;  // of the weight
  bool has_rstd = false;
  LineForm form = {};
  LineRoom room = {};

  int weight_buffers(const sim::Machine& machine) const {
    return room.own() ? 1 : load_buffers(machine);
  }
  DType compute() const { return x == DType::f64 || y == DType::f64 ? DType::f64 : DType::f32; }
  int64_t types() const {
    return static_cast<int64_t>(y) | static_cast<int64_t>(x) << 8 |
           static_cast<int64_t>(residual) << 16 | static_cast<int64_t>(weight) << 24;
  }
};

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  int64_t bytes =
      v.room.store_buffers() * sim::size_of(v.y) + v.room.load_buffers(machine) * sim::size_of(v.x);
  bytes += sim::size_of(v.compute());  // intermediate results
  if (v.has_weight) bytes += v.weight_buffers(machine) * sim::size_of(v.weight);
  if (v.has_offset) bytes += sim::size_of(v.compute());
  if (v.adds)
    bytes += (v.room.load_buffers(machine) + v.room.store_buffers()) * sim::size_of(v.residual);
  constexpr int64_t kLineTiles = 5;  // with one element a line
  return v.room.capacity(machine, bytes, kLineTiles * sim::size_of(v.compute()));
}

sim::Program build_rms_norm(const sim::Machine& machine, const Variant& v) {
  Builder b(v.adds ? "fused_add_rms_norm" : "rms_norm", machine);
  const Pointer y_data = b.pointer("y_data");
  const Pointer x_data = b.pointer("x_data");
  const Pointer residual_data = v.adds ? b.pointer("residual_data") : Pointer{};
  const Pointer weight_data = v.has_weight ? b.pointer("weight_data") : Pointer{};
  const Pointer rstd_data = v.has_rstd ? b.pointer("rstd_data") : Pointer{};
  const Value eps = b.real("eps");
  const Value offset = b.real("offset");
  const Value columns = b.integer("columns");

  const int64_t capacity = capacity_of(machine, v);
  const int64_t lines = v.room.lines(machine, capacity);
  const DType compute = v.compute();
  const Tile x = b.tile("x", v.x, capacity, v.room.load_buffers(machine));
  const Tile old = v.adds ? b.tile("old", v.residual, capacity, v.room.load_buffers(machine)) : x;
  const Tile total = v.adds ? b.tile("total", v.residual, capacity, v.room.store_buffers()) : x;
  const Tile work = b.tile("work", compute, capacity);
  const Tile y = b.tile("y", v.y, capacity, v.room.store_buffers());
  const Tile partial = b.tile("partial", compute, lines);
  const Tile sum = b.tile("sum", compute, lines);
  const Tile mean = b.tile("mean", compute, lines);
  const Tile scale = b.tile("scale", compute, lines, 2);
  const Tile weight =
      v.has_weight ? b.tile("weight", v.weight, capacity, v.weight_buffers(machine)) : Tile{};
  const Tile factor = v.has_offset ? b.tile("factor", compute, capacity) : weight;
  const auto load_weight = [&](const Value& start, const Value& count) {
    if (!v.has_weight) return;
    b.load(weight, weight_data, start, Region({}, {{count, 1}}));
    if (v.has_offset) b.vector(BinaryFn::add, factor, weight, offset);
  };

  if (v.form.whole) load_weight(0, columns);
  each_tile(b, [&](const Value& number) {
    const LineWalk walk(b, v.form, kTensors, number);
    // First pass: the sum of squares, of the residual stream once it is written.
    walk.reduce(ReduceFn::sum, sum, partial, [&](const Value& start, const Value& count) {
      b.load(x, x_data, walk.offset(kX, start), walk.region(kX, count));
      if (v.adds) {
        const Value at = walk.offset(kResidual, start);
        b.load(old, residual_data, at, walk.region(kResidual, count));
        b.vector(BinaryFn::add, total, x, old);
        b.store(residual_data, at, walk.region(kResidual, count), total);
      }
      b.vector(UnaryFn::square, work, total);
      return work;
    });
    b.vector(BinaryFn::div, mean, sum, b.to_real(walk.length()));
    b.vector(BinaryFn::add, mean, mean, eps);
    b.vector(UnaryFn::rsqrt, scale, mean);
    if (v.has_rstd) b.store(rstd_data, walk.offset(kRstd), walk.line_region(kRstd), scale);

    walk.chunks([&](const Value& start, const Value& count) {
      Tile normed = total;
      if (!walk.whole()) {
        // With a residual, what the first pass wrote.
        normed = v.adds ? old : x;
        b.load(normed, v.adds ? residual_data : x_data, walk.offset(v.adds ? kResidual : kX, start),
               walk.region(v.adds ? kResidual : kX, count));
        load_weight(start, count);
      }
      if (v.has_weight) {
        b.vector(BinaryFn::mul, work, normed, scale);
        b.vector(BinaryFn::mul, y, work, factor);
      } else {
        b.vector(BinaryFn::mul, y, normed, scale);
      }
      b.store(y_data, walk.offset(kY, start), walk.region(kY, count), y);
    });
  });
  return b.finish();
}

npuStatus check_matrix(std::string_view name, std::string_view operand, const Tensor& tensor,
                       const Tensor& like) {
  NPU_RETURN_IF_ERROR(check_tensor(name, operand, tensor));
  NPU_RETURN_IF_ERROR(check_same_sizes(name, like, tensor));
  if (tensor.rank != 2 || (tensor.sizes[1] > 1 && tensor.strides[1] != 1)) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} must be a matrix whose rows are contiguous",
                      name, operand);
  }
  return NPU_SUCCESS;
}

npuStatus run(const Tensor& y, const Tensor& residual, const Tensor& x, const Tensor& weight,
              double eps, double weight_offset, const Tensor& rstd, npuStream stream) {
  const std::string_view name = residual.defined() ? "fused_add_rms_norm" : "rms_norm";
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_matrix(name, "x", x, x));
    NPU_RETURN_IF_ERROR(check_matrix(name, "y", y, x));
    if (residual.defined()) NPU_RETURN_IF_ERROR(check_matrix(name, "residual", residual, x));
    if (weight.defined()) {
      NPU_RETURN_IF_ERROR(check_tensor(name, "weight", weight));
      if (weight.rank != 1 || weight.sizes[0] != x.sizes[1] ||
          (weight.strides[0] != 1 && weight.sizes[0] != 1)) {
        return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: weight must be {} contiguous elements",
                          name, x.sizes[1]);
      }
    }
    const auto type = [](const Tensor& tensor) { return static_cast<DType>(tensor.dtype); };
    Variant v{.y = type(y), .x = type(x), .residual = type(residual), .weight = type(weight)};
    v.adds = residual.defined();
    v.has_weight = weight.defined();
    v.has_offset = weight_offset != 0;
    v.has_rstd = rstd.defined();
    Tensor rstd_column = rstd;
    if (v.has_rstd) {
      NPU_RETURN_IF_ERROR(check_tensor(name, "rstd", rstd));
      if (rstd.rank != 1 || rstd.sizes[0] != x.sizes[0] || type(rstd) != v.compute()) {
        return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: rstd must be {} elements of type {}", name,
                          x.sizes[0], sim::name(v.compute()));
      }
      rstd_column.rank = 2;
      rstd_column.sizes[1] = 1;
    }
    if (x.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");

    const Tensor* const tensors[kTensors] = {&x, &y, &residual, &rstd_column};
    const LineNest nest = make_line_nest(tensors, 1);
    const auto capacity_in = [&](const LineRoom& room) {
      v.room = room;
      return capacity_of(*machine, v);
    };
    v.room = room_for_line(nest.length, capacity_in);
    const int64_t capacity = capacity_of(*machine, v);
    v.form = choose_line_form(nest, capacity, tensors);
    v.form.rows = true;
    v.form.whole = nest.length <= capacity;

    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream,
        {name,
         {v.types(), v.form.code(),
          v.has_weight | v.has_offset << 1 | v.has_rstd << 2 | v.room.own_buffers << 3}},
        [&](const sim::Machine& m) { return build_rms_norm(m, v); }, &kernel));
    Arguments args;
    args.pointer(y.data);
    args.pointer(x.data);
    if (v.adds) args.pointer(residual.data);
    if (v.has_weight) args.pointer(weight.data);
    if (v.has_rstd) args.pointer(rstd.data);
    args.real(eps);
    args.real(weight_offset);
    args.integer(nest.length);
    Arguments lines;
    const int64_t tiles = pass_lines(lines, nest, v.form, *machine, capacity, v.room.most_lines());
    return launch(kernel, pass_tiles(args, lines, *machine, tiles), args, stream);
  });
}

constexpr Variant kTypical = {.y = DType::bf16,
                              .x = DType::bf16,
                              .residual = DType::bf16,
                              .weight = DType::bf16,
                              .has_weight = true,
                              .form = {.kept_dims = 1, .left_out = 1U << kRstd}};

}  // namespace

sim::Program library_rms_norm(const sim::Machine& machine) {
  return build_rms_norm(machine, kTypical);
}
sim::Program library_fused_add_rms_norm(const sim::Machine& machine) {
  Variant v = kTypical;
  v.adds = true;
  return build_rms_norm(machine, v);
}

npuStatus rms_norm(const Tensor& y, const Tensor& x, const Tensor& weight, double eps,
                   double weight_offset, npuStream stream, const Tensor& rstd) {
  return run(y, {}, x, weight, eps, weight_offset, rstd, stream);
}

npuStatus fused_add_rms_norm(const Tensor& y, const Tensor& residual, const Tensor& x,
                             const Tensor& weight, double eps, double weight_offset,
                             npuStream stream) {
  if (!residual.defined() && x.numel() > 0) {
    return sdk::fail(NPU_ERROR_INVALID_VALUE, "fused_add_rms_norm: the residual is missing");
  }
  return run(y, residual, x, weight, eps, weight_offset, {}, stream);
}

}  // namespace npu::kernels

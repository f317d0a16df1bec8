// softmax and log_softmax along any dimension, and their gradients.
#include <array>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/kernels/softmax_parts.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/reduce.h"

namespace npu::kernels {
namespace {

struct Types {
  DType out;
  std::array<DType, 2> in;
  int inputs;
  LineRoom room = {};

  DType compute() const {
    const bool doubles = out == DType::f64 || in[0] == DType::f64 || in[1] == DType::f64;
    return doubles ? DType::f64 : DType::f32;
  }
  int64_t code() const {
    return static_cast<int64_t>(out) | static_cast<int64_t>(in[0]) << 8 |
           static_cast<int64_t>(in[1]) << 16 | static_cast<int64_t>(room.own_buffers) << 24;
  }
};

// Inputs, two tiles of intermediate results, and the output.
int64_t capacity_of(const sim::Machine& machine, const Types& types) {
  int64_t bytes =
      types.room.store_buffers() * sim::size_of(types.out) + 2 * sim::size_of(types.compute());
  for (int i = 0; i < types.inputs; ++i) {
    bytes += types.room.load_buffers(machine) * sim::size_of(types.in[i]);
  }
  constexpr int64_t kLineTiles = 4;  // with one element a line
  return types.room.capacity(machine, bytes, kLineTiles * sim::size_of(types.compute()));
}

// Three passes over a line: its maximum, the sum of exponentials, the result. Lines that fit into a
// tile are loaded once.
sim::Program build_softmax(const sim::Machine& machine, const Types& types, const LineForm& form,
                           bool log) {
  Builder b(log ? "log_softmax" : "softmax", machine);
  const Pointer out = b.pointer("out");
  const Pointer in = b.pointer("in");
  const LineWalk walk(b, form, 2);
  enum { kIn, kOut };
  const int64_t capacity = capacity_of(machine, types);
  const int64_t lines = types.room.lines(machine, capacity);
  const DType compute = types.compute();
  const Tile x = b.tile("x", types.in[0], capacity, types.room.load_buffers(machine));
  const Tile shifted = b.tile("shifted", compute, capacity);
  const Tile power = b.tile("power", compute, capacity);
  const Tile y = b.tile("y", types.out, capacity, types.room.store_buffers());
  const Tile partial = b.tile("partial", compute, lines);
  const Tile largest = b.tile("largest", compute, lines);
  const Tile sum = b.tile("sum", compute, lines);
  const Tile scale = b.tile("scale", compute, lines);

  const auto load = [&](const Value& start, const Value& count) {
    b.load(x, in, walk.offset(kIn, start), walk.region(kIn, count));
    return x;
  };
  const auto exponentials = [&](const Value& start, const Value& count) {
    if (!walk.whole()) load(start, count);
    b.vector(BinaryFn::sub, shifted, x, largest);
    b.vector(UnaryFn::exp, power, shifted);
    return power;
  };
  walk.reduce(ReduceFn::max, largest, partial, load);
  walk.reduce(ReduceFn::sum, sum, partial, exponentials);
  b.vector(log ? UnaryFn::log : UnaryFn::recip, scale, sum);
  walk.chunks([&](const Value& start, const Value& count) {
    if (!walk.whole()) exponentials(start, count);
    if (log) {
      b.vector(BinaryFn::sub, y, shifted, scale);
    } else {
      b.vector(BinaryFn::mul, y, power, scale);
    }
    b.store(out, walk.offset(kOut, start), walk.region(kOut, count), y);
  });
  return b.finish();
}

// grad_in = (grad - sum(grad * out)) * out, or of the logarithm grad - exp(out) * sum(grad).
sim::Program build_backward(const sim::Machine& machine, const Types& types, const LineForm& form,
                            bool log) {
  Builder b(log ? "log_softmax_backward" : "softmax_backward", machine);
  const Pointer grad_in = b.pointer("grad_in");
  const Pointer grad_out = b.pointer("grad_out");
  const Pointer out = b.pointer("out");
  const LineWalk walk(b, form, 3);
  enum { kGradOut, kOut, kGradIn };
  const int64_t capacity = capacity_of(machine, types);
  const int64_t lines = types.room.lines(machine, capacity);
  const DType compute = types.compute();
  const Tile grad = b.tile("grad", types.in[0], capacity, types.room.load_buffers(machine));
  const Tile y = b.tile("y", types.in[1], capacity, types.room.load_buffers(machine));
  const Tile product = b.tile("product", compute, capacity);
  const Tile rest = b.tile("rest", compute, capacity);
  const Tile result = b.tile("result", types.out, capacity, types.room.store_buffers());
  const Tile partial = b.tile("partial", compute, lines);
  const Tile sum = b.tile("sum", compute, lines);

  const auto load = [&](const Value& start, const Value& count) {
    b.load(grad, grad_out, walk.offset(kGradOut, start), walk.region(kGradOut, count));
    b.load(y, out, walk.offset(kOut, start), walk.region(kOut, count));
  };
  walk.reduce(ReduceFn::sum, sum, partial, [&](const Value& start, const Value& count) {
    load(start, count);
    if (log) return grad;
    b.vector(BinaryFn::mul, product, grad, y);
    return product;
  });
  walk.chunks([&](const Value& start, const Value& count) {
    if (!walk.whole()) load(start, count);
    if (log) {
      b.vector(UnaryFn::exp, product, y);
      b.vector(BinaryFn::mul, rest, product, sum);
      b.vector(BinaryFn::sub, result, grad, rest);
    } else {
      b.vector(BinaryFn::sub, rest, grad, sum);
      b.vector(BinaryFn::mul, result, rest, y);
    }
    b.store(grad_in, walk.offset(kGradIn, start), walk.region(kGradIn, count), result);
  });
  return b.finish();
}

using Build = sim::Program (*)(const sim::Machine&, const Types&, const LineForm&, bool);

// `inputs` first decide the layout.
npuStatus run(std::string_view name, Build build, std::span<const Tensor* const> inputs,
              const Tensor& out, int dim, bool log, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor(name, "the output", out));
    for (const Tensor* input : inputs) {
      NPU_RETURN_IF_ERROR(check_tensor(name, "an input", *input));
      NPU_RETURN_IF_ERROR(check_same_sizes(name, out, *input));
    }
    if (dim < 0 || dim >= std::max(out.rank, 1)) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: dimension {} of {}", name, dim, out.rank);
    }
    if (!sim::is_float(static_cast<DType>(out.dtype))) {
      return sdk::failf(NPU_ERROR_UNIMPLEMENTED, "{}: its results are real, {} cannot hold them",
                        name, sim::name(static_cast<DType>(out.dtype)));
    }
    if (out.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    if (build == build_softmax) {
      const int64_t parts = parts_of_softmax(*machine, out, *inputs[0], dim);
      if (parts > 1) return softmax_in_parts(*machine, out, *inputs[0], dim, log, parts, stream);
    }
    Types types{static_cast<DType>(out.dtype), {}, static_cast<int>(inputs.size())};
    std::array<const Tensor*, 3> tensors = {};
    types.in.fill(static_cast<DType>(inputs[0]->dtype));
    for (size_t i = 0; i < inputs.size(); ++i) {
      types.in[i] = static_cast<DType>(inputs[i]->dtype);
      tensors[i] = inputs[i];
    }
    tensors[inputs.size()] = &out;
    const auto used = std::span(tensors).first(inputs.size() + 1);
    const LineNest nest = make_line_nest(used, dim);
    int64_t capacity = capacity_of(*machine, types);
    LineForm form = choose_line_form(nest, capacity, used);
    if (form.rows && !form.whole) {
      const auto capacity_in = [&](const LineRoom& room) {
        types.room = room;
        return capacity_of(*machine, types);
      };
      types.room = room_for_line(nest.length, capacity_in);
      capacity = capacity_of(*machine, types);
      form.whole = types.room.own();
    }

    npuKernel kernel = nullptr;
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream, {name, {types.code(), form.code(), log}},
        [&](const sim::Machine& m) { return build(m, types, form, log); }, &kernel));
    Arguments args;
    args.pointer(out.data);
    for (const Tensor* input : inputs) args.pointer(input->data);
    const int64_t grid = pass_lines(args, nest, form, *machine, capacity, types.room.most_lines());
    return launch(kernel, grid, args, stream);
  });
}

constexpr Types kTypical = {DType::bf16, {DType::bf16, DType::bf16}, 1};
constexpr Types kTypicalBackward = {DType::bf16, {DType::bf16, DType::bf16}, 2};

}  // namespace

sim::Program library_softmax(const sim::Machine& machine) {
  return build_softmax(machine, kTypical, {.kept_dims = 1}, false);
}
sim::Program library_log_softmax(const sim::Machine& machine) {
  return build_softmax(machine, kTypical, {.kept_dims = 1}, true);
}
sim::Program library_softmax_backward(const sim::Machine& machine) {
  return build_backward(machine, kTypicalBackward, {.kept_dims = 1}, false);
}
sim::Program library_log_softmax_backward(const sim::Machine& machine) {
  return build_backward(machine, kTypicalBackward, {.kept_dims = 1}, true);
}

npuStatus softmax(const Tensor& out, const Tensor& in, int dim, bool log, npuStream stream) {
  const Tensor* const inputs[] = {&in};
  return run("softmax", build_softmax, inputs, out, dim, log, stream);
}

npuStatus softmax_backward(const Tensor& grad_in, const Tensor& grad_out, const Tensor& out,
                           int dim, bool log, npuStream stream) {
  const Tensor* const inputs[] = {&grad_out, &out};
  return run("softmax_backward", build_backward, inputs, grad_in, dim, log, stream);
}

}  // namespace npu::kernels

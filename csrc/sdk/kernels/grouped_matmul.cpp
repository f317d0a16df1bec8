// Products of groups: a tensor of ends divides the rows of a, or k, into groups of different
// lengths, each of which has a matrix of its own. Mixtures of experts and their gradients are such.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "csrc/sdk/builder/builder.h"
#include "csrc/sdk/kernels/arguments.h"
#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/grouped_tiling.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_tile.h"
#include "csrc/sdk/kernels/matmul_tiling.h"
#include "csrc/sdk/kernels/sequence_table.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/matmul.h"

namespace npu::kernels {
namespace {

constexpr std::string_view kKernel = "grouped_gemm";

// Where the group begins and ends among `total` rows.
std::pair<Value, Value> range_of(Builder& b, const SequenceTable& ends, const Value& group,
                                 const Value& total) {
  const Value before = ends.load(b.max(group - 1, 0));
  const Value end = ends.load(group);
  return {b.select(group == 0, 0, b.max(before, 0)), b.min(end, total)};
}

// Says of grouped rows which rows of another tensor they are.
class RowIndex {
 public:
  // Declares the arguments of pass(). With `divides`, numbers are divided.
  RowIndex(Builder& b, const std::string& name, DType type, int64_t capacity, bool divides)
      : b_(b),
        pointer_(b.pointer(name)),
        stride_(b.integer(name + "_stride")),
        limit_(b.integer(name + "_limit")),
        divisor_(divides ? b.integer(name + "_divisor") : Value(1)),
        loaded_(b.tile(name + "_tile", type, capacity, kIndexBuffers)),
        rows_(b.tile(name + "_rows", DType::i64, capacity, kIndexBuffers)),
        inside_(b.tile(name + "_inside", DType::b8, capacity)) {}

  static void pass(Arguments& args, const Tensor& index, int64_t limit) {
    args.pointer(index.data);
    args.integer(index.strides[0]);
    args.integer(limit);
  }

  // Rows of `count` grouped rows; those that there are not become a place that is refused.
  Tile load(const Value& first, const Value& count) const {
    b_.load(loaded_, pointer_, first * stride_, {{count, stride_}});
    b_.vector(BinaryFn::floordiv, rows_, loaded_, divisor_);
    b_.vector(BinaryFn::lt, inside_, rows_, limit_);
    b_.vector(TernaryFn::where, rows_, inside_, rows_, Value(kNowhere));
    b_.vector(BinaryFn::ge, inside_, rows_, 0);
    b_.vector(TernaryFn::where, rows_, inside_, rows_, Value(kNowhere));
    return rows_;
  }

 private:
  Builder& b_;
  Pointer pointer_;
  Value stride_;
  Value limit_;
  Value divisor_;
  Tile loaded_;
  Tile rows_;
  Tile inside_;
};

// Runs `body` for the groups that have rows. Ends are read in lots, to wait once for each: of a
// step of generation most groups are empty.
using GroupBody = std::function<void(const Value& group, const Value& begin, const Value& end)>;
void each_group(Builder& b, const SequenceTable& ends, const Value& groups, const Value& total,
                const GroupBody& body) {
  constexpr int64_t kLot = 16;
  const Value next = b.variable(0);
  b.loop(kUnlimited, [&](const Value&) {
    // The first of the lot that has rows, else the last.
    const Value group = b.variable(next + (kLot - 1));
    const Value begin = b.variable(0);
    const Value end = b.variable(0);
    {
      std::vector<Value> lot;
      for (int64_t i = -1; i < kLot; ++i) {
        lot.push_back(ends.load(b.max(b.min(next + i, groups - 1), 0)));
      }
      lot[0] = b.select(next == 0, 0, lot[0]);
      for (size_t i = lot.size() - 1; i > 0; --i) {
        const Value filled = lot[i - 1] < lot[i];
        b.set(group, b.select(filled, next + (static_cast<int64_t>(i) - 1), group));
        b.set(begin, b.select(filled, lot[i - 1], begin));
        b.set(end, b.select(filled, lot[i], end));
      }
    }
    b.set(next, group + 1);
    b.set(begin, b.max(begin, 0));
    b.set(end, b.min(end, total));
    b.if_(begin < end, [&] { body(group, begin, end); });
    b.break_if(groups <= next);
  });
}

// A program computes columns of one group, or the same ones of all; `slots` of them together, each
// every slots-th tile of rows, however many a group has.
sim::Program build_row_groups(const sim::Machine& machine, const MatmulForm& form,
                              const MatmulTiling& tiling) {
  Builder b(std::string(kKernel), machine);
  const Pointer out = b.pointer("out");
  const Pointer lhs = b.pointer("a");
  const Pointer rhs = b.pointer("b");
  const SequenceTable ends(b, "ends", form.ends_type);
  const Value total = b.integer("rows");
  const Value n = b.integer("n");
  const Value k = b.integer("k");
  const Value slots = b.integer("slots");
  const Value out_row = b.integer("out_row");
  const Value out_col = b.integer("out_col");
  const Value a_row = b.integer("a_row");
  const Value a_col = b.integer("a_col");
  const Value b_group = b.integer("b_group");
  const Value b_row = b.integer("b_row");
  const Value b_col = b.integer("b_col");
  const Value groups = form.walks_groups ? b.integer("groups") : Value(0);
  std::optional<RowIndex> gather;
  std::optional<RowIndex> scatter;
  if (form.gathers) gather.emplace(b, "gather", form.gather_type, tiling.m, true);
  if (form.scatters) scatter.emplace(b, "scatter", form.scatter_type, tiling.m, false);
  Pointer factors;
  Value factor_stride = 0;
  std::optional<Tile> factor;
  if (form.scales_rows) {
    factors = b.pointer("row_scale");
    factor_stride = b.integer("row_scale_stride");
    factor = b.tile("factor", DType::f32, tiling.m, kIndexBuffers);
  }

  const Value slot = b.pid() % slots;
  const Value outer = b.pid() / slots;
  const Value across = b.ceil_div(n, tiling.n);
  const Value col = (outer % across) * tiling.n;
  const Value step = slots * tiling.m;
  const TileProduct product(b, form, tiling, b.min(n - col, tiling.n));
  const TileEpilogue epilogue(b, form, tiling.m * tiling.chunk, tiling.chunks() > 1 ? 2 : 1);

  const GroupBody multiply = [&](const Value& group, const Value& begin, const Value& end) {
    const Value first = begin + slot * tiling.m;
    const Value b_start = group * b_group + col * b_col;
    b.loop(b.max(b.ceil_div(end - first, step), 0), [&](const Value& turn) {
      const Value row = first + turn * step;
      const Value rows = b.min(end - row, tiling.m);
      std::optional<Tile> from;
      std::optional<Tile> to;
      if (gather) from = gather->load(row, rows);
      if (scatter) to = scatter->load(row, rows);
      if (factor && to) {
        b.gather(*factor, factors, 0, *to, factor_stride, {{1, 1}});
      } else if (factor) {
        b.load(*factor, factors, row * factor_stride, Region({{rows, factor_stride}}, {{1, 1}}));
      }
      const auto load = [&](const Value& start, const Value& depth) {
        const sdk::Dim along{depth, a_col};
        if (from) {
          b.gather(product.a_tile(), lhs, start * a_col, *from, a_row, {along});
        } else {
          b.load(product.a_tile(), lhs, row * a_row + start * a_col,
                 operand_region({rows, a_row}, along, form.transpose_a));
        }
        product.load_columns(rhs, b_start + start * b_row, {depth, b_row}, b_col);
      };
      product.run(rows, k, load, [&](const TileProduct::Chunk& chunk) {
        const Tile result = epilogue.apply(chunk.acc, factor, {});
        const Value offset = (col + chunk.start) * out_col;
        if (to) {
          b.scatter(out, offset, *to, out_row, {{chunk.cols, out_col}}, result);
        } else {
          b.store(out, row * out_row + offset, Region({{rows, out_row}}, {{chunk.cols, out_col}}),
                  result);
        }
      });
    });
  };
  if (form.walks_groups) {
    each_group(b, ends, groups, total, multiply);
  } else {
    const Value group = outer / across;
    const auto [begin, end] = range_of(b, ends, group, total);
    multiply(group, begin, end);
  }
  return b.finish();
}

// A program computes a tile of one group's product over its part of k.
sim::Program build_depth_groups(const sim::Machine& machine, const MatmulForm& form,
                                const MatmulTiling& tiling) {
  Builder b(std::string(kKernel), machine);
  const Pointer out = b.pointer("out");
  const Pointer lhs = b.pointer("a");
  const Pointer rhs = b.pointer("b");
  const SequenceTable ends(b, "ends", form.ends_type);
  const Value m = b.integer("m");
  const Value n = b.integer("n");
  const Value total = b.integer("k");
  const Value out_group = b.integer("out_group");
  const Value out_row = b.integer("out_row");
  const Value out_col = b.integer("out_col");
  const Value a_row = b.integer("a_row");
  const Value a_col = b.integer("a_col");
  const Value b_row = b.integer("b_row");
  const Value b_col = b.integer("b_col");

  const Value down = b.ceil_div(m, tiling.m);
  const Value across = b.ceil_div(n, tiling.n);
  const Value row = (b.pid() % down) * tiling.m;
  const Value outer = b.pid() / down;
  const Value col = (outer % across) * tiling.n;
  const Value group = outer / across;
  const auto [begin, end] = range_of(b, ends, group, total);
  const Value rows = b.min(m - row, tiling.m);
  const Value a_start = row * a_row + begin * a_col;
  const Value b_start = begin * b_row + col * b_col;
  const Value out_start = group * out_group + row * out_row + col * out_col;
  const TileProduct product(b, form, tiling, b.min(n - col, tiling.n));
  const TileEpilogue epilogue(b, form, tiling.m * tiling.chunk, tiling.chunks() > 1 ? 2 : 1);
  const auto load = [&](const Value& start, const Value& depth) {
    b.load(product.a_tile(), lhs, a_start + start * a_col,
           operand_region({rows, a_row}, {depth, a_col}, form.transpose_a));
    product.load_columns(rhs, b_start + start * b_row, {depth, b_row}, b_col);
  };
  product.run(rows, b.max(end - begin, 0), load, [&](const TileProduct::Chunk& chunk) {
    b.store(out, out_start + chunk.start * out_col,
            Region({{rows, out_row}}, {{chunk.cols, out_col}}),
            epilogue.apply(chunk.acc, std::nullopt, {}));
  });
  return b.finish();
}

npuStatus grouped_kernel(npuStream stream, const MatmulForm& form, const MatmulTiling& tiling,
                         npuKernel* kernel) {
  sdk::KernelKey key = matmul_key(form, tiling);
  key.family = kKernel;
  return sdk::cached_kernel(
      stream, key,
      [&](const sim::Machine& target) { return build_grouped_matmul(target, form, tiling); },
      kernel);
}

bool is_row_major(const Tensor& t) {
  const int last = t.rank - 1;
  return row_major(t.strides[last - 1], t.strides[last], t.sizes[last]);
}

Tensor transposed(Tensor t) {
  std::swap(t.sizes[t.rank - 1], t.sizes[t.rank - 2]);
  std::swap(t.strides[t.rank - 1], t.strides[t.rank - 2]);
  return t;
}

npuStatus check_index(std::string_view operand, const Tensor& index, int64_t rows) {
  NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, operand, index));
  if (index.sizes[0] == rows) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE,
                    "{}: {} has {} elements, but there are {} grouped rows", kKernel, operand,
                    index.sizes[0], rows);
}

// Of rows that are chosen by index.
npuStatus check_stride(std::string_view operand, const Tensor& tensor) {
  if (tensor.strides[0] != 0 || tensor.sizes[0] == 0) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE,
                    "{}: the rows of {}, which an index chooses from, lie "
                    "in one place (stride 0)",
                    kKernel, operand);
}

npuStatus check_row_options(const Tensor& out, const Tensor& a, int64_t rows,
                            const GroupedMatmulOptions& options) {
  if (options.gather_divisor < 1) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: gather_divisor {} is not positive", kKernel,
                      options.gather_divisor);
  }
  if (options.gather.defined()) {
    NPU_RETURN_IF_ERROR(check_index("gather", options.gather, rows));
    NPU_RETURN_IF_ERROR(check_stride("a", a));
  }
  if (options.scatter.defined()) {
    NPU_RETURN_IF_ERROR(check_index("scatter", options.scatter, rows));
    NPU_RETURN_IF_ERROR(check_stride("out", out));
  }
  if (options.row_scale.defined()) {
    const Tensor& scale = options.row_scale;
    NPU_RETURN_IF_ERROR(check_tensor(kKernel, "row_scale", scale));
    if (scale.rank != 1 || scale.dtype != NPU_F32 || scale.sizes[0] != out.sizes[0]) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: row_scale must be of rank 1, f32 and have {} elements, one for each "
                        "row of the result",
                        kKernel, out.sizes[0]);
    }
  }
  if (options.scatter.defined() || out.sizes[0] == rows) return NPU_SUCCESS;
  return sdk::failf(NPU_ERROR_INVALID_VALUE, "{}: {} grouped rows (of {} of a) give {} of out",
                    kKernel, rows, a.sizes[0], out.sizes[0]);
}

npuStatus row_groups(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& ends,
                     const GroupedMatmulOptions& options, MatmulForm form,
                     const sim::Machine& machine, npuStream stream) {
  const int64_t rows = options.gather.defined() ? options.gather.sizes[0] : a.sizes[0];
  const int64_t groups = b.sizes[0];
  if (a.sizes[1] != b.sizes[1] || out.sizes[1] != b.sizes[2] || ends.sizes[0] != groups) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: [{}, {}] @ [{}, {}, {}] with {} ends does not give [{}, {}]", kKernel,
                      rows, a.sizes[1], groups, b.sizes[1], b.sizes[2], ends.sizes[0], out.sizes[0],
                      out.sizes[1]);
  }
  NPU_RETURN_IF_ERROR(check_row_options(out, a, rows, options));
  if (out.numel() == 0 || rows == 0 || groups == 0) return NPU_SUCCESS;

  form.groups = MatmulForm::Groups::rows;
  form.gathers = options.gather.defined();
  form.scatters = options.scatter.defined();
  form.scales_rows = options.row_scale.defined();
  form.transpose_a = !form.gathers && !is_row_major(a);
  if (form.gathers) form.gather_type = static_cast<DType>(options.gather.dtype);
  if (form.scatters) form.scatter_type = static_cast<DType>(options.scatter.dtype);
  const int64_t mean = mean_length(rows, groups);
  const MatmulProblem problem = form.problem(groups, mean, b.sizes[2], b.sizes[1]);
  MatmulTiling tiling = choose_group_tiling(machine, problem);
  const int64_t slots = ceil_div(mean, tiling.m);
  form.walks_groups = walk_groups(machine, problem, rows, tiling);
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(grouped_kernel(stream, form, tiling, &kernel));

  Arguments args;
  for (const Tensor* tensor : {&out, &a, &b}) args.pointer(tensor->data);
  pass_sequence_table(args, ends);
  for (const int64_t value :
       {rows, b.sizes[2], b.sizes[1], slots, out.strides[0], out.strides[1], a.strides[0],
        a.strides[1], b.strides[0], b.strides[1], b.strides[2]}) {
    args.integer(value);
  }
  if (form.walks_groups) args.integer(groups);
  if (form.gathers) {
    RowIndex::pass(args, options.gather, a.sizes[0]);
    args.integer(options.gather_divisor);
  }
  if (form.scatters) RowIndex::pass(args, options.scatter, out.sizes[0]);
  if (form.scales_rows) {
    args.pointer(options.row_scale.data);
    args.integer(options.row_scale.strides[0]);
  }
  const int64_t programs = ceil_div(b.sizes[2], tiling.n) * slots;
  return launch(kernel, form.walks_groups ? programs : groups * programs, args, stream);
}

npuStatus depth_groups(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& ends,
                       MatmulForm form, const sim::Machine& machine, npuStream stream) {
  const int64_t groups = out.sizes[0];
  const int64_t m = a.sizes[0];
  const int64_t n = b.sizes[1];
  if (a.sizes[1] != b.sizes[0] || out.sizes[1] != m || out.sizes[2] != n ||
      ends.sizes[0] != groups) {
    return sdk::failf(NPU_ERROR_INVALID_VALUE,
                      "{}: [{}, {}] @ [{}, {}] with {} ends does not give [{}, {}, {}]", kKernel, m,
                      a.sizes[1], b.sizes[0], n, ends.sizes[0], groups, out.sizes[1], out.sizes[2]);
  }
  if (out.numel() == 0) return NPU_SUCCESS;

  form.groups = MatmulForm::Groups::depth;
  form.transpose_a = !is_row_major(a);
  const int64_t mean = mean_length(a.sizes[1], groups);
  const MatmulTiling tiling = choose_matmul_tiling(machine, form.problem(groups, m, n, mean));
  npuKernel kernel = nullptr;
  NPU_RETURN_IF_ERROR(grouped_kernel(stream, form, tiling, &kernel));

  Arguments args;
  for (const Tensor* tensor : {&out, &a, &b}) args.pointer(tensor->data);
  pass_sequence_table(args, ends);
  for (const int64_t value : {m, n, a.sizes[1], out.strides[0], out.strides[1], out.strides[2],
                              a.strides[0], a.strides[1], b.strides[0], b.strides[1]}) {
    args.integer(value);
  }
  return launch(kernel, groups * ceil_div(m, tiling.m) * ceil_div(n, tiling.n), args, stream);
}

}  // namespace

sim::Program build_grouped_matmul(const sim::Machine& machine, const MatmulForm& form,
                                  const MatmulTiling& tiling) {
  return form.groups == MatmulForm::Groups::rows ? build_row_groups(machine, form, tiling)
                                                 : build_depth_groups(machine, form, tiling);
}

npuStatus grouped_matmul(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& ends,
                         const GroupedMatmulOptions& options, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor(kKernel, "out", out));
    NPU_RETURN_IF_ERROR(check_tensor(kKernel, "a", a));
    NPU_RETURN_IF_ERROR(check_tensor(kKernel, "b", b));
    NPU_RETURN_IF_ERROR(check_sequence_table(kKernel, "ends", ends));
    const bool of_rows = a.rank == 2 && b.rank == 3 && out.rank == 2;
    const bool of_columns = a.rank == 3 && b.rank == 2 && out.rank == 2;
    const bool of_depth = a.rank == 2 && b.rank == 2 && out.rank == 3;
    if (!of_rows && !of_columns && !of_depth) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: ranks {} = {} @ {}; groups divide rows (2 = 2 @ 3), columns "
                        "(2 = 3 @ 2) or the summed dimension (3 = 2 @ 2)",
                        kKernel, out.rank, a.rank, b.rank);
    }
    if (a.dtype != b.dtype || !sim::is_float(static_cast<DType>(a.dtype))) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: operands of dtype {} and {}; they must be alike and floating", kKernel,
                        sim::name(static_cast<DType>(a.dtype)),
                        sim::name(static_cast<DType>(b.dtype)));
    }
    const bool moves_rows =
        options.gather.defined() || options.scatter.defined() || options.row_scale.defined();
    if (moves_rows && !of_rows) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE,
                        "{}: gather, scatter and row_scale are for groups of rows", kKernel);
    }
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");

    MatmulForm form;
    form.type = static_cast<DType>(a.dtype);
    form.out_type = static_cast<DType>(out.dtype);
    form.ends_type = static_cast<DType>(ends.dtype);
    if (of_columns) {  // out^T = b^T a^T
      const Tensor right = transposed(a);
      form.transpose_b = !is_row_major(right);
      return row_groups(transposed(out), transposed(b), right, ends, {}, form, *machine, stream);
    }
    form.transpose_b = !is_row_major(b);
    return of_rows ? row_groups(out, a, b, ends, options, form, *machine, stream)
                   : depth_groups(out, a, b, ends, form, *machine, stream);
  });
}

sim::Program library_grouped_gemm(const sim::Machine& machine) {
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  form.transpose_b = true;
  form.groups = MatmulForm::Groups::rows;
  form.gathers = true;
  return build_grouped_matmul(machine, form,
                              choose_matmul_tiling(machine, form.problem(8, 512, 28672, 4096)));
}

}  // namespace npu::kernels

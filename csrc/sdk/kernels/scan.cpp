// Inclusive scans along any dimension. The vector engine scans rows: lines that lie as columns are
// transposed on the way in and out.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/formula.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/kernels/reduction.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/reduce.h"

namespace npu::kernels {
namespace {

using sdk::ScanFn;

constexpr int kLoadBuffers = 2;
enum { kIn, kOut, kIndices, kTensors };  // of the walk

struct Variant {
  Scan op;
  DType in, out;
  DType compute;
  bool has_indices = false;
  LineForm form = {};
};

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  const int64_t computed = sim::size_of(v.compute);
  // Loaded, transposed and scanned; temporaries of logsumexp; stored.
  int64_t bytes = kLoadBuffers * sim::size_of(v.in) + sim::size_of(v.in) + 6 * computed;
  bytes += 3 * sim::size_of(v.out);
  if (v.has_indices) bytes += 6 * sim::size_of(DType::i64) + 2 * sim::size_of(DType::b8);
  return tile_capacity(machine, bytes);
}

class ScanWriter {
 public:
  ScanWriter(const Variant& v, const sim::Machine& machine)
      : v_(v),
        b_("scan", machine),
        capacity_(capacity_of(machine, v)),
        lines_(line_capacity(machine, capacity_)),
        out_data_(b_.pointer("out_data")),
        in_data_(b_.pointer("in_data")),
        indices_data_(v.has_indices ? b_.pointer("indices_data") : Pointer{}),
        walk_(b_, v.form, kTensors) {}

  sim::Program write() {
    const Tile scanned = tile("scanned", v_.compute);
    const Tile carry = b_.tile("carry", v_.compute, lines_);
    const Tile index = v_.has_indices ? tile("index", DType::i64) : Tile{};
    const Tile index_carry = v_.has_indices ? b_.tile("index.carry", DType::i64, lines_) : Tile{};
    if (!walk_.whole()) {
      b_.fill(carry, start_value(), walk_.lines(), 1);
      if (v_.has_indices) b_.fill(index_carry, 0, walk_.lines(), 1);
    }
    walk_.chunks([&](const Value& start, const Value& count) {
      const Tile x = load(start, count);
      b_.scan(scan_fn(), scanned, x);
      const Tile total = walk_.whole() ? scanned : combine(carry, scanned);
      if (v_.has_indices) {
        locate(x, total, start, count, index_carry, index);
        store(indices_data_, kIndices, start, count, index);
      }
      Tile result = total;
      if (v_.out != v_.compute) {
        result = tile("result", v_.out);
        b_.vector(UnaryFn::copy, result, total);
      }
      store(out_data_, kOut, start, count, result);
      if (!walk_.whole()) {
        b_.slice(carry, total, 0, count - 1, walk_.lines(), 1);
        if (v_.has_indices) b_.slice(index_carry, index, 0, count - 1, walk_.lines(), 1);
      }
    });
    return b_.finish();
  }

 private:
  Tile tile(const char* name, DType type, int buffers = 1) {
    return b_.tile(name, type, capacity_, buffers);
  }

  ScanFn scan_fn() const {
    switch (v_.op) {
      case Scan::sum:
        return ScanFn::sum;
      case Scan::prod:
        return ScanFn::prod;
      case Scan::max:
        return ScanFn::max;
      case Scan::min:
        return ScanFn::min;
      case Scan::logsumexp:
        return ScanFn::logsumexp;
    }
    return ScanFn::sum;
  }

  Value start_value() const {
    const bool real = sim::is_float(v_.compute);
    switch (v_.op) {
      case Scan::sum:
        return 0;
      case Scan::prod:
        return 1;
      case Scan::min:
        return identity(ReduceFn::min, real);
      default:
        return identity(ReduceFn::max, real);
    }
  }

  // The carry of the chunks before, and this chunk.
  Tile combine(const Tile& carry, const Tile& scanned) {
    const Tile total = tile("total", v_.compute);
    switch (v_.op) {
      case Scan::sum:
        b_.vector(BinaryFn::add, total, scanned, carry);
        break;
      case Scan::prod:
        b_.vector(BinaryFn::mul, total, scanned, carry);
        break;
      case Scan::max:
        b_.vector(BinaryFn::max, total, carry, scanned);
        break;
      case Scan::min:
        b_.vector(BinaryFn::min, total, carry, scanned);
        break;
      case Scan::logsumexp: {
        const DType inputs[] = {v_.compute, v_.compute};
        Formula formula(v_.compute, inputs, 0);
        formula.set_result(log_add_exp(formula.in(0), formula.in(1)), v_.compute);
        std::vector<Tile> temporaries;
        for (int i = 0; i < formula.temporaries(); ++i) {
          temporaries.push_back(tile(("tmp" + std::to_string(i)).c_str(), v_.compute));
        }
        const sdk::Operand operands[] = {scanned, carry};
        formula.emit(b_, operands, {}, temporaries, total);
        break;
      }
    }
    return total;
  }

  // The last place at or before each element that set the running extreme: where an element equals
  // it (or is NaN), its place; elsewhere the last such place.
  void locate(const Tile& x, const Tile& extreme, const Value& start, const Value& count,
              const Tile& index_carry, const Tile& index) {
    const Tile place = tile("place", DType::i64);
    const Tile sets = tile("sets", DType::b8);
    const Tile newest = tile("newest", DType::i64);
    b_.iota(place, start, 1, 0, 1, count);
    b_.vector(BinaryFn::eq, sets, x, extreme);
    if (sim::is_float(v_.compute)) {
      const Tile nan = tile("is_nan", DType::b8);
      const Tile either = tile("either", DType::b8);
      b_.vector(UnaryFn::isnan, nan, x);
      b_.vector(BinaryFn::lor, either, sets, nan);
      choose(newest, either, place, index_carry);
    } else {
      choose(newest, sets, place, index_carry);
    }
    b_.scan(ScanFn::max, index, newest);
  }

  void choose(const Tile& dst, const Tile& condition, const Tile& place, const Tile& carry) {
    if (walk_.whole()) {
      b_.vector(TernaryFn::where, dst, condition, place, 0);
    } else {
      b_.vector(TernaryFn::where, dst, condition, place, carry);
    }
  }

  Tile load(const Value& start, const Value& count) {
    if (!loaded_) {
      loaded_ = tile("x", v_.in, kLoadBuffers);
      if (!walk_.rows()) turned_ = tile("x.t", v_.in);
    }
    b_.load(*loaded_, in_data_, walk_.offset(kIn, start), walk_.region(kIn, count));
    if (walk_.rows()) return *loaded_;
    b_.transpose(*turned_, *loaded_);
    return *turned_;
  }

  void store(Pointer to, int tensor, const Value& start, const Value& count, const Tile& tile_) {
    Tile stored = tile_;
    if (!walk_.rows()) {
      stored = tile(tensor == kOut ? "out.t" : "index.t", tile_.dtype, 2);
      b_.transpose(stored, tile_);
    }
    b_.store(to, walk_.offset(tensor, start), walk_.region(tensor, count), stored);
  }

  const Variant& v_;
  Builder b_;
  int64_t capacity_;
  int64_t lines_;
  Pointer out_data_;
  Pointer in_data_;
  Pointer indices_data_;
  LineWalk walk_;
  std::optional<Tile> loaded_;
  std::optional<Tile> turned_;
};

}  // namespace

sim::Program library_scan(const sim::Machine& machine) {
  const Variant v{.op = Scan::sum,
                  .in = DType::f32,
                  .out = DType::f32,
                  .compute = DType::f32,
                  .form = {.whole = false, .kept_dims = 1, .left_out = 1U << kIndices}};
  return ScanWriter(v, machine).write();
}

npuStatus scan(Scan op, const Tensor& out, const Tensor& indices, const Tensor& in, int dim,
               npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_tensor("scan", "the output", out));
    NPU_RETURN_IF_ERROR(check_tensor("scan", "the input", in));
    NPU_RETURN_IF_ERROR(check_same_sizes("scan", in, out));
    if (dim < 0 || dim >= std::max(in.rank, 1)) {
      return sdk::failf(NPU_ERROR_INVALID_VALUE, "scan: dimension {} of {}", dim, in.rank);
    }
    if (indices.defined()) {
      NPU_RETURN_IF_ERROR(check_same_sizes("scan", in, indices));
      if (indices.dtype != NPU_I64 || (op != Scan::max && op != Scan::min)) {
        return sdk::fail(NPU_ERROR_INVALID_VALUE,
                         "scan: indices are i64 and belong to max and min");
      }
    }
    if (in.numel() == 0) return NPU_SUCCESS;
    const sim::Machine* machine = sdk::machine_of(stream);
    if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
    Variant v{.op = op,
              .in = static_cast<DType>(in.dtype),
              .out = static_cast<DType>(out.dtype),
              .compute = DType::i64};
    if (v.in == DType::f64 || v.out == DType::f64) {
      v.compute = DType::f64;
    } else if (sim::is_float(v.in) || sim::is_float(v.out) || op == Scan::logsumexp) {
      v.compute = DType::f32;
    }
    v.has_indices = indices.defined();
    const Tensor* const tensors[kTensors] = {&in, &out, &indices};
    const LineNest nest = make_line_nest(tensors, dim);
    const int64_t capacity = capacity_of(*machine, v);
    v.form = choose_line_form(nest, capacity, tensors);

    npuKernel kernel = nullptr;
    const auto code = [](auto value) { return static_cast<int64_t>(value); };
    NPU_RETURN_IF_ERROR(sdk::cached_kernel(
        stream,
        {"scan", {code(op), code(v.in) | code(v.out) << 8 | code(v.compute) << 16, v.form.code()}},
        [&](const sim::Machine& m) { return ScanWriter(v, m).write(); }, &kernel));
    Arguments args;
    args.pointer(out.data);
    args.pointer(in.data);
    if (v.has_indices) args.pointer(indices.data);
    const int64_t grid = pass_lines(args, nest, v.form, *machine, capacity);
    return launch(kernel, grid, args, stream);
  });
}

}  // namespace npu::kernels

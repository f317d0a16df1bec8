#include "csrc/sdk/kernels/row_gather.h"

#include <algorithm>
#include <string>

#include "csrc/sdk/kernels/builder_names.h"
#include "csrc/sdk/kernels/indexed.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/line_walk.h"
#include "csrc/sdk/runtime/status.h"

namespace npu::kernels {
namespace {

constexpr int kBuffers = 2;

struct Variant {
  DType data = DType::f32;  // bits: elements are moved
  DType index = DType::i64;
  LineForm form = {};

  int64_t types() const { return static_cast<int64_t>(data) | static_cast<int64_t>(index) << 8; }
};

int64_t capacity_of(const sim::Machine& machine, const Variant& v) {
  const int64_t bytes = kBuffers * (2 * sim::size_of(v.data) + sim::size_of(v.index));
  return tile_capacity(machine, bytes, line_elements(machine));
}

sim::Program build(std::string_view kernel, const sim::Machine& machine, const Variant& v) {
  Builder b(std::string(kernel), machine);
  const Pointer out = b.pointer("out");
  const Pointer in = b.pointer("in");
  const Pointer index = b.pointer("index");
  const Value out_length = b.integer("out_length");
  const Value in_length = b.integer("in_length");
  const LineWalk walk(b, v.form, 3);
  enum { kOut, kIn, kIndex };
  const int64_t capacity = capacity_of(machine, v);
  const Tile line = b.tile("line", v.data, capacity, kBuffers);
  const Tile place = b.tile("place", v.index, capacity, kBuffers);
  const Tile chosen = b.tile("chosen", v.data, capacity, kBuffers);
  b.load(line, in, walk.offset(kIn, 0), walk.region(kIn, in_length));
  b.load(place, index, walk.offset(kIndex, 0), walk.region(kIndex, out_length));
  b.gather_columns(chosen, line, place);
  b.store(out, walk.offset(kOut, 0), walk.region(kOut, out_length), chosen);
  return b.finish();
}

Variant variant_of(const Tensor& in, npuDataType index) {
  return {.data = bits_of(static_cast<DType>(in.dtype)), .index = static_cast<DType>(index)};
}

}  // namespace

sim::Program library_row_gather(const sim::Machine& machine) {
  return build("row_gather", machine, {.data = bits_of(DType::bf16), .form = {.kept_dims = 1}});
}

bool gathers_rows(const sim::Machine& machine, const Tensor& out, const Tensor& in, int dim) {
  if (in.rank == 0 || in.strides[dim] != 1) return false;
  const int64_t length = in.sizes[dim];
  const int64_t chosen = out.sizes[dim];
  const int64_t loaded = length * sim::size_of(static_cast<DType>(in.dtype));
  return length > 0 && loaded <= chosen * machine.dma.burst_bytes &&
         std::max(length, chosen) <= capacity_of(machine, variant_of(in, NPU_I64));
}

npuStatus run_row_gather(std::string_view kernel, const sim::Machine& machine, const Tensor& out,
                         const Tensor& in, int dim, const Tensor& index, npuStream stream) {
  NPU_RETURN_IF_ERROR(check_indexed(kernel, along_dim(out, in, dim, index)));
  if (out.numel() == 0) return NPU_SUCCESS;
  Variant v = variant_of(in, index.dtype);
  const Tensor* const tensors[] = {&out, &in, &index};
  LineNest nest = make_line_nest(tensors, dim);
  nest.length = std::max(out.sizes[dim], in.sizes[dim]);
  const int64_t capacity = capacity_of(machine, v);
  v.form = choose_line_form(nest, capacity, tensors);
  v.form.rows = v.form.whole = true;
  npuKernel program = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {kernel, {v.types(), v.form.code()}},
      [&](const sim::Machine& m) { return build(kernel, m, v); }, &program));
  Arguments args;
  args.pointer(out.data);
  args.pointer(in.data);
  args.pointer(index.data);
  args.integer(out.sizes[dim]);
  args.integer(in.sizes[dim]);
  const int64_t grid = pass_lines(args, nest, v.form, machine, capacity);
  return launch(program, grid, args, stream);
}

}  // namespace npu::kernels

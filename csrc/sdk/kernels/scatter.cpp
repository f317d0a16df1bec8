// Writing at indices: scatter, index_accumulate and advanced assignment are one program family.
//
// Whatever the order in which cores work, the result is that of going through the indices in order.
// Sums go to memory through the atomic addition, which commits in program order. For the others a
// program owns all places that its indices may reach: it walks the dimensions in which they vary
// ("looped") in a loop. Products and extremes read, compute and write back, one index at a time.
#include <algorithm>

#include "csrc/sdk/kernels/indexed.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/runtime/kernel_cache.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/index.h"

namespace npu::kernels {
namespace {

using sdk::BinaryFn;
using sdk::Builder;
using sdk::DType;
using sdk::Tile;

bool reads_back(Accumulate how) { return how != Accumulate::assign && how != Accumulate::add; }

BinaryFn function_of(Accumulate how) {
  switch (how) {
    case Accumulate::multiply:
      return BinaryFn::mul;
    case Accumulate::max:
      return BinaryFn::max;
    default:
      return BinaryFn::min;
  }
}

// Dimensions in which different places of the nest may mean the same element.
uint32_t sharing_dims(const Iteration& nest) {
  uint32_t dims = 0;
  for (int d = 0; d < nest.rank; ++d) {
    if (nest.stride[kViewOperand][d] == 0 && nest.size[d] > 1) dims |= 1u << d;
  }
  return dims;
}

// Moves the dimensions that do not share places to the front, at least two of them.
void separate(Iteration& nest) {
  const Iteration given = nest;
  const uint32_t sharing = sharing_dims(given);
  int next = 0;
  for (const bool shared : {false, true}) {
    for (int d = 0; d < given.rank; ++d) {
      if (((sharing >> d & 1) != 0) != shared) continue;
      nest.size[next] = given.size[d];
      for (int t = 0; t < given.tensors; ++t) nest.stride[t][next] = given.stride[t][d];
      ++next;
    }
    if (!shared && next < 2) {
      const int missing = 2 - next;
      nest.rank = next;
      pad_nest(nest, next, missing);
      next = 2;
    }
  }
  nest.rank = next;
}

IndexedCapacity capacity_of(const IndexedForm& form, const sim::Machine& machine, Accumulate how) {
  return indexed_capacity(form, machine, reads_back(how) ? 4 : 2);
}

sim::Program build(std::string_view name, const sim::Machine& machine, const IndexedForm& form,
                   Accumulate how) {
  const IndexedCapacity capacity = capacity_of(form, machine, how);
  Builder b(std::string(name), machine);
  IndexedWalk walk(b, form, capacity);
  const Tile data = b.tile("tile", form.data, capacity.data, 2);
  walk.for_each([&] {
    const Tile offsets = walk.offsets();
    b.load(data, walk.tile_pointer(), walk.tile_offset(), walk.tile_region());
    if (!reads_back(how)) {
      b.scatter(walk.view_pointer(), 0, offsets, 1, walk.access(), data, false,
                how == Accumulate::add);
      return;
    }
    const Tile current = b.tile("current", form.data, capacity.data);
    const Tile result = b.tile("result", form.data, capacity.data);
    b.gather(current, walk.view_pointer(), 0, offsets, 1, walk.access());
    b.reshape(current, walk.rows(), walk.cols());
    b.vector(function_of(how), result, current, data);
    b.scatter(walk.view_pointer(), 0, offsets, 1, walk.access(), result);
  });
  return b.finish();
}

npuStatus run_scatter(std::string_view kernel, const IndexedOperands& operands, Accumulate how,
                      npuStream stream) {
  NPU_RETURN_IF_ERROR(check_indexed(kernel, operands));
  if (operands.tile.numel() == 0) return NPU_SUCCESS;
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine == nullptr) return sdk::fail(NPU_ERROR_INVALID_HANDLE, "no such stream");
  // The dimensions keep their order, since it is that of the indices.
  Iteration nest = indexed_nest(operands);
  nest.coalesce();
  if (reads_back(how)) {
    separate(nest);
  } else if (nest.rank < 2) {
    pad_nest(nest, nest.rank, 2 - nest.rank);
  }
  IndexedForm form = form_of(operands, nest);
  if (how != Accumulate::add) form.looped = sharing_dims(nest);
  if (how == Accumulate::assign) form.data = bits_of(form.data);
  npuKernel program = nullptr;
  NPU_RETURN_IF_ERROR(sdk::cached_kernel(
      stream, {kernel, {form.key(), static_cast<int64_t>(how)}},
      [&](const sim::Machine& m) { return build(kernel, m, form, how); }, &program));
  const IndexedTiling tiling =
      choose_indexed_tiling(form, nest, capacity_of(form, *machine, how), *machine);
  Arguments args;
  NPU_RETURN_IF_ERROR(pass_indexed(args, operands, form, nest, tiling));
  return launch(program, tiling.grid, args, stream);
}

}  // namespace

sim::Program library_scatter(const sim::Machine& machine) {
  IndexedForm form = typical_indexed_form(/*rows=*/false);
  form.looped = 1;
  return build("scatter", machine, form, Accumulate::assign);
}
sim::Program library_index_accumulate(const sim::Machine& machine) {
  IndexedForm form = typical_indexed_form(/*rows=*/true);
  form.data = DType::f32;
  return build("index_accumulate", machine, form, Accumulate::add);
}
sim::Program library_index_put(const sim::Machine& machine) {
  IndexedForm form = typical_indexed_form(/*rows=*/true, /*indices=*/2);
  form.wraps = true;
  form.looped = 2;
  return build("index_put", machine, form, Accumulate::assign);
}

npuStatus scatter(const Tensor& self, int dim, const Tensor& index, const Tensor& src,
                  Accumulate how, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_indexed_dim("scatter", self, src, dim));
    return run_scatter("scatter", along_dim(src, self, dim, index), how, stream);
  });
}

npuStatus index_accumulate(const Tensor& self, int dim, const Tensor& index, const Tensor& src,
                           Accumulate how, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_indexed_dim("index_accumulate", self, src, dim));
    return run_scatter("index_accumulate", along_dim(src, self, dim, spread(index, src, dim)), how,
                       stream);
  });
}

npuStatus index_put(const Tensor& view, const Tensor& src, TensorSpan indices,
                    std::span<const int64_t> lengths, std::span<const int64_t> strides,
                    bool accumulate, npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    IndexedOperands operands;
    NPU_RETURN_IF_ERROR(advanced("index_put", src, view, indices, lengths, strides, &operands));
    return run_scatter("index_put", operands, accumulate ? Accumulate::add : Accumulate::assign,
                       stream);
  });
}

}  // namespace npu::kernels

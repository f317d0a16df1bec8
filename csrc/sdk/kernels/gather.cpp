// Reading at indices: index_select, gather and advanced indexing are one program family, but for
// what row_gather.h does.
#include "csrc/sdk/kernels/indexed.h"
#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/row_gather.h"
#include "csrc/sdk/runtime/status.h"
#include "npu/kernels/index.h"

namespace npu::kernels {

sim::Program library_index_select(const sim::Machine& machine) {
  return build_gather("index_select", machine, typical_indexed_form(/*rows=*/true));
}
sim::Program library_gather(const sim::Machine& machine) {
  return build_gather("gather", machine, typical_indexed_form(/*rows=*/false));
}
sim::Program library_index_get(const sim::Machine& machine) {
  IndexedForm form = typical_indexed_form(/*rows=*/false, /*indices=*/2);
  form.wraps = true;
  return build_gather("index_get", machine, form);
}

namespace {

// `index` has out's sizes.
npuStatus along(std::string_view kernel, const Tensor& out, const Tensor& in, int dim,
                const Tensor& index, npuStream stream) {
  const sim::Machine* machine = sdk::machine_of(stream);
  if (machine != nullptr && gathers_rows(*machine, out, in, dim)) {
    return run_row_gather(kernel, *machine, out, in, dim, index, stream);
  }
  return run_gather(kernel, along_dim(out, in, dim, index), stream);
}

}  // namespace

npuStatus index_select(const Tensor& out, const Tensor& in, int dim, const Tensor& index,
                       npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_indexed_dim("index_select", in, out, dim));
    return along("index_select", out, in, dim, spread(index, out, dim), stream);
  });
}

npuStatus gather(const Tensor& out, const Tensor& in, int dim, const Tensor& index,
                 npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    NPU_RETURN_IF_ERROR(check_indexed_dim("gather", in, out, dim));
    return along("gather", out, in, dim, index, stream);
  });
}

npuStatus index_get(const Tensor& out, const Tensor& view, TensorSpan indices,
                    std::span<const int64_t> lengths, std::span<const int64_t> strides,
                    npuStream stream) {
  return sdk::guarded([&]() -> npuStatus {
    IndexedOperands operands;
    NPU_RETURN_IF_ERROR(advanced("index_get", out, view, indices, lengths, strides, &operands));
    return run_gather("index_get", operands, stream);
  });
}

}  // namespace npu::kernels

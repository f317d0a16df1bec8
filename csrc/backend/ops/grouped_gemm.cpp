// torch.ops.npu.grouped_gemm: a product for each group of rows, which may come from and go to any
// rows of their tensors.
#include <ATen/ops/empty.h>
#include <npu/kernels/matmul.h>
#include <torch/library.h>

#include "csrc/backend/ops/shapes.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

using at::Tensor;
using Optional = std::optional<Tensor>;

constexpr std::string_view kOp = "grouped_gemm";

void check_index_of(const char* name, const Tensor& index, const Tensor& a) {
  check_dim(kOp, name, index, 1);
  check_index(kOp, name, index);
  check_same_device(kOp, {&a, &index});
}

// Checks the arguments and makes the result, on any device.
Tensor grouped_gemm_result(const Tensor& a, const Tensor& b, const Tensor& ends,
                           const Optional& gather, int64_t gather_divisor, const Optional& scatter,
                           const Optional& row_scale) {
  TORCH_CHECK(a.dim() == 2 && b.dim() == 3,
              "npu::grouped_gemm: expected a of 2 and b of 3 dimensions, but their sizes are ",
              a.sizes(), " and ", b.sizes());
  TORCH_CHECK(a.size(1) == b.size(1), "npu::grouped_gemm: a and b shapes cannot be multiplied (",
              a.sizes(), " and ", b.sizes(), ")");
  check_floating(kOp, "a", a);
  check_same_dtype(kOp, "b", b, a);
  check_index_of("ends", ends, a);
  TORCH_CHECK(ends.size(0) == b.size(0), "npu::grouped_gemm: ", ends.size(0), " ends for ",
              b.size(0), " groups");
  check_same_device(kOp, {&a, &b});
  const int64_t rows = given(gather) ? gather->size(0) : a.size(0);
  if (given(gather)) check_index_of("gather", *gather, a);
  TORCH_CHECK_VALUE(gather_divisor > 0, "npu::grouped_gemm: gather_divisor ", gather_divisor,
                    " is not positive");
  if (given(scatter)) {
    check_index_of("scatter", *scatter, a);
    TORCH_CHECK(scatter->size(0) == rows, "npu::grouped_gemm: scatter has ", scatter->size(0),
                " elements for ", rows, " rows");
  }
  if (given(row_scale)) {
    check_same_device(kOp, {&a, &*row_scale});
    check_sizes(kOp, "row_scale", *row_scale, {rows});
    TORCH_CHECK_TYPE(row_scale->scalar_type() == at::kFloat,
                     "npu::grouped_gemm: expected row_scale to be float32, but it is ",
                     row_scale->scalar_type());
  }
  return at::empty({rows, b.size(2)}, a.options());
}

Tensor grouped_gemm(const Tensor& a, const Tensor& b, const Tensor& ends, const Optional& gather,
                    int64_t gather_divisor, const Optional& scatter, const Optional& row_scale) {
  Tensor out = grouped_gemm_result(a, b, ends, gather, gather_divisor, scatter, row_scale);
  if (out.numel() == 0) return out;
  kernels::GroupedMatmulOptions options;
  options.gather_divisor = gather_divisor;
  if (given(gather)) options.gather = to_kernel(*gather);
  if (given(scatter)) options.scatter = to_kernel(*scatter);
  if (given(row_scale)) options.row_scale = to_kernel(*row_scale);
  // Rows that lie in one place cannot be told from those that there are not.
  const Tensor rows = given(gather) && a.stride(0) == 0 ? a.contiguous() : a;
  NPU_CHECK(kernels::grouped_matmul(to_kernel(out), to_kernel(rows), to_kernel(b), to_kernel(ends),
                                    options, current_stream(a.device().index())));
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, PrivateUse1, m) { m.impl("grouped_gemm", &grouped_gemm); }
TORCH_LIBRARY_IMPL(npu, Meta, m) { m.impl("grouped_gemm", &grouped_gemm_result); }

}  // namespace npu::backend

#include "csrc/backend/aten/iterator.h"

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <array>

#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"

namespace npu::backend {
namespace {

constexpr int kMaxOperands = 8;

// An element of a CPU tensor of any dtype as a scalar.
kernels::Scalar cpu_value(const at::TensorBase& tensor) {
  return to_kernel(at::Tensor(tensor).item());
}

}  // namespace

kernels::Tensor iterator_operand(at::TensorIteratorBase& iterator, int arg) {
  kernels::Tensor view;
  view.dtype = to_dtype(iterator.dtype(arg));
  view.rank = iterator.ndim();
  TORCH_CHECK_NOT_IMPLEMENTED(view.rank <= kernels::kMaxRank, "npu: tensors of ", view.rank,
                              " dimensions; at most ", kernels::kMaxRank,
                              " that do not merge are supported");
  const auto shape = iterator.shape();
  const auto strides = iterator.strides(arg);
  const int64_t element = iterator.element_size(arg);
  // TensorIterator's dimension 0 is the innermost.
  for (int d = 0; d < view.rank; ++d) {
    view.sizes[view.rank - 1 - d] = shape[d];
    view.strides[view.rank - 1 - d] = strides.empty() ? 0 : strides[d] / element;
  }
  if (arg >= iterator.noutputs() && iterator.is_cpu_scalar(arg)) {
    view.immediate = cpu_value(iterator.tensor_base(arg));
  } else {
    view.data = iterator.data_ptr(arg);
  }
  return view;
}

const kernels::ElementwiseOp* elementwise_entry(std::string_view name) {
  const auto* op = kernels::find_elementwise(name);
  TORCH_INTERNAL_ASSERT(op != nullptr, "the kernel library has no element-wise '", name, "'");
  return op;
}

void run_elementwise(at::TensorIteratorBase& iterator, const Plan& plan) {
  if (iterator.numel() == 0) return;
  std::array<kernels::Tensor, kMaxOperands> operands;
  int count = iterator.ntensors();
  const int outputs = iterator.noutputs();
  const int extra = plan.as_inputs ? static_cast<int>(plan.count) : 0;
  TORCH_INTERNAL_ASSERT(count + extra <= kMaxOperands);
  for (int i = 0; i < count; ++i) operands[i] = iterator_operand(iterator, i);
  for (int i = 0; i < extra; ++i) {
    kernels::Tensor& immediate = operands[count++];
    immediate = operands[outputs];
    immediate.data = nullptr;
    immediate.strides = {};
    immediate.dtype = to_dtype(iterator.common_dtype());
    immediate.immediate = plan.scalars[i];
  }
  const kernels::TensorSpan all(operands.data(), count);
  const kernels::ScalarSpan scalars(plan.scalars.data(), plan.as_inputs ? 0 : plan.count);
  NPU_CHECK(kernels::elementwise(plan.op, all.first(outputs), all.subspan(outputs), scalars,
                                 current_stream(iterator.device(0).index())));
}

}  // namespace npu::backend

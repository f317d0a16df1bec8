#include "csrc/backend/aten/iterator.h"

#include <ATen/core/Tensor.h>
#include <ATen/native/TypeProperties.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>

#include <array>
#include <vector>

#include "csrc/backend/aten/scalar.h"
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

namespace {

// PyTorch's CPU kernels of these keep a number beside 16-bit floats in the precision that they
// compute in; all others round it to the common dtype first.
bool keeps_scalar_precision(const kernels::ElementwiseOp* op) {
  return op == elementwise_op<"add">() || op == elementwise_op<"sub">() ||
         op == elementwise_op<"mul">() || op == elementwise_op<"div">() ||
         op == elementwise_op<"div_trunc">() || op == elementwise_op<"div_floor">() ||
         op == elementwise_op<"lerp">();
}

// Converts immediates to what their tensors' common dtype makes of them.
void promote_immediates(const at::TensorIteratorBase& iterator, const kernels::ElementwiseOp* op,
                        std::span<kernels::Tensor> inputs) {
  const auto common = iterator.maybe_common_dtype();
  if (!common.has_value()) return;
  if (at::isFloatingType(*common) && keeps_scalar_precision(op)) return;
  for (kernels::Tensor& input : inputs) {
    if (!input.defined()) input.immediate = in_dtype(input.immediate, *common);
  }
}

// Makes the view one of `memory`, contiguous in the iterator's order.
void lay_out(kernels::Tensor& view, const at::Tensor& memory) {
  view.data = memory.data_ptr();
  int64_t stride = 1;
  for (int d = view.rank - 1; d >= 0; --d) {
    view.strides[d] = stride;
    stride *= view.sizes[d];
  }
}

// Is the common dtype what PyTorch computes in? Iterators that promote nothing have one, too.
bool promotes(const at::TensorIteratorBase& iterator, at::ScalarType common) {
  at::native::ResultTypeState state;
  for (int i = iterator.noutputs(); i < iterator.ntensors(); ++i) {
    state = at::native::update_result_type_state(at::Tensor(iterator.tensor_base(i)), state);
  }
  return at::native::result_type(state) == common;
}

// Does a value of the type become another one in the common dtype? Values of all operands are
// rounded to that first, those of tensors without dimensions too, which do not decide about it.
bool is_rounded(at::ScalarType type, at::ScalarType common) {
  if (type == common) return false;
  const bool to_half = common == at::kHalf || common == at::kBFloat16;
  if (to_half && at::isIntegralType(type, false)) return c10::elementSize(type) > 1;
  return c10::promoteTypes(type, common) != common;
}

// Rounds such operands. Returns the memory of the results, which has to live until the launch.
std::vector<at::Tensor> promote_tensors(const at::TensorIteratorBase& iterator,
                                        std::span<kernels::Tensor> inputs, npuStream stream) {
  std::vector<at::Tensor> rounded;
  const auto common = iterator.maybe_common_dtype();
  if (!common.has_value()) return rounded;
  for (int i = 0; i < iterator.ninputs(); ++i) {
    const at::TensorBase& base = iterator.tensor_base(iterator.noutputs() + i);
    if (!inputs[i].defined() || !is_rounded(base.scalar_type(), *common)) continue;
    if (!promotes(iterator, *common)) break;
    kernels::Tensor values = inputs[i];  // once, where they are repeated
    for (int d = 0; d < values.rank; ++d) {
      if (values.strides[d] == 0) values.sizes[d] = 1;
    }
    kernels::Tensor results = values;
    results.dtype = to_dtype(*common);
    rounded.push_back(at::empty({values.numel()}, base.options().dtype(*common)));
    lay_out(results, rounded.back());
    NPU_CHECK(kernels::copy(results, values, stream));
    inputs[i].data = results.data;
    inputs[i].dtype = results.dtype;
    for (int d = 0; d < values.rank; ++d) {
      inputs[i].strides[d] = values.sizes[d] == 1 ? 0 : results.strides[d];
    }
  }
  return rounded;
}

// The bytes from the first to behind the last element.
std::pair<const char*, const char*> extent(const kernels::Tensor& view, int64_t element) {
  const auto* const begin = static_cast<const char*>(view.data);
  int64_t last = 0;
  for (int d = 0; d < view.rank; ++d) last += (view.sizes[d] - 1) * view.strides[d];
  return {begin, begin + (last + 1) * element};
}

// Whether a result shares memory with an input, but not as the very same view. It asks the operands
// and not the tensors, which PyTorch's set-up of some ops (glu) does not keep alive.
bool needs_temporary(const at::TensorIteratorBase& iterator,
                     std::span<const kernels::Tensor> operands) {
  for (int out = 0; out < iterator.noutputs(); ++out) {
    const kernels::Tensor& result = operands[out];
    const auto [begin, end] = extent(result, iterator.element_size(out));
    for (int in = iterator.noutputs(); in < iterator.ntensors(); ++in) {
      const kernels::Tensor& input = operands[in];
      if (!input.defined()) continue;
      const auto [input_begin, input_end] = extent(input, iterator.element_size(in));
      if (input_begin >= end || begin >= input_end) continue;
      const bool same = input.data == result.data && input.strides == result.strides &&
                        iterator.element_size(in) == iterator.element_size(out);
      if (!same) return true;
    }
  }
  return false;
}

// The view's elements in memory of their own.
at::Tensor temporary_for(const at::TensorBase& out, kernels::Tensor& view) {
  at::Tensor memory = at::empty({view.numel()}, out.options());
  lay_out(view, memory);
  return memory;
}

}  // namespace

void run_elementwise(at::TensorIteratorBase& iterator, const Plan& plan) {
  if (iterator.numel() == 0) return;
  std::array<kernels::Tensor, kMaxOperands> operands;
  int count = iterator.ntensors();
  const int outputs = iterator.noutputs();
  const int extra = plan.as_inputs ? static_cast<int>(plan.count) : 0;
  TORCH_INTERNAL_ASSERT(count + extra <= kMaxOperands);
  for (int i = 0; i < count; ++i) operands[i] = iterator_operand(iterator, i);
  for (int i = 0; i < extra; ++i) {
    const auto common = iterator.common_dtype();
    const kernels::Scalar& value = plan.scalars[i];
    check_fits(at::isFloatingType(common) ? at::Scalar(value.real) : at::Scalar(value.integer),
               common);
    kernels::Tensor& immediate = operands[count++];
    immediate = operands[outputs];
    immediate.data = nullptr;
    immediate.strides = {};
    immediate.dtype = to_dtype(common);
    immediate.immediate = value;
  }
  const auto given = std::span(operands).subspan(outputs, count - outputs);
  promote_immediates(iterator, plan.op, given);
  const npuStream stream = current_stream(iterator.device(0).index());
  const std::vector<at::Tensor> rounded = promote_tensors(iterator, given, stream);

  std::array<kernels::Tensor, kMaxOperands> results;
  std::array<at::Tensor, kMaxOperands> temporaries;
  std::copy_n(operands.begin(), outputs, results.begin());
  const bool apart = needs_temporary(iterator, std::span(operands).first(iterator.ntensors()));
  for (int i = 0; apart && i < outputs; ++i) {
    temporaries[i] = temporary_for(iterator.tensor_base(i), results[i]);
  }
  const kernels::TensorSpan inputs(operands.data() + outputs, count - outputs);
  const kernels::ScalarSpan scalars(plan.scalars.data(), plan.as_inputs ? 0 : plan.count);
  NPU_CHECK(kernels::elementwise(plan.op, {results.data(), static_cast<size_t>(outputs)}, inputs,
                                 scalars, stream));
  for (int i = 0; apart && i < outputs; ++i) {
    NPU_CHECK(kernels::copy(operands[i], results[i], stream));
  }
}

}  // namespace npu::backend

// softmax, log_softmax and their backward forms.
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/_log_softmax_backward_data_meta.h>
#include <ATen/ops/_log_softmax_meta.h>
#include <ATen/ops/_softmax_backward_data_meta.h>
#include <ATen/ops/_softmax_meta.h>
#include <npu/kernels/reduce.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Tensor;

kernels::Tensor vector(const Tensor& tensor) {
  return to_kernel(tensor.dim() == 0 ? tensor.unsqueeze(0) : tensor);
}

int wrap(int64_t dim, const Tensor& tensor) {
  return static_cast<int>(at::maybe_wrap_dim(dim, std::max<int64_t>(tensor.dim(), 1)));
}

template <class Meta, bool log>
struct Softmax {
  static Tensor functional(const Tensor& self, int64_t dim, bool half_to_float) {
    Structured<Meta> op;
    run(op, self, dim, half_to_float);
    return op.finish();
  }
  static Tensor& out(const Tensor& self, int64_t dim, bool half_to_float, Tensor& out) {
    Structured<Meta> op(out);
    run(op, self, dim, half_to_float);
    op.finish();
    return out;
  }

 private:
  static void run(Structured<Meta>& op, const Tensor& self, int64_t dim, bool half_to_float) {
    op.meta(self, dim, half_to_float);
    if (self.numel() == 0) return;
    NPU_CHECK(
        kernels::softmax(vector(op.output()), vector(self), wrap(dim, self), log, stream_of(self)));
  }
};

template <class Meta, bool log>
struct SoftmaxBackward {
  static Tensor functional(const Tensor& grad, const Tensor& output, int64_t dim,
                           at::ScalarType input_dtype) {
    Structured<Meta> op;
    run(op, grad, output, dim, input_dtype);
    return op.finish();
  }
  static Tensor& out(const Tensor& grad, const Tensor& output, int64_t dim,
                     at::ScalarType input_dtype, Tensor& out) {
    Structured<Meta> op(out);
    run(op, grad, output, dim, input_dtype);
    op.finish();
    return out;
  }

 private:
  static void run(Structured<Meta>& op, const Tensor& grad, const Tensor& output, int64_t dim,
                  at::ScalarType input_dtype) {
    op.meta(grad, output, dim, input_dtype);
    if (grad.numel() == 0) return;
    NPU_CHECK(kernels::softmax_backward(vector(op.output()), vector(grad), vector(output),
                                        wrap(dim, grad), log, stream_of(grad)));
  }
};

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  using Plain = Softmax<at::meta::structured__softmax, false>;
  using Log = Softmax<at::meta::structured__log_softmax, true>;
  impl<"_softmax", &Plain::functional>(m);
  impl<"_softmax.out", &Plain::out>(m);
  impl<"_log_softmax", &Log::functional>(m);
  impl<"_log_softmax.out", &Log::out>(m);
  using PlainBackward = SoftmaxBackward<at::meta::structured__softmax_backward_data, false>;
  using LogBackward = SoftmaxBackward<at::meta::structured__log_softmax_backward_data, true>;
  impl<"_softmax_backward_data", &PlainBackward::functional>(m);
  impl<"_softmax_backward_data.out", &PlainBackward::out>(m);
  impl<"_log_softmax_backward_data", &LogBackward::functional>(m);
  impl<"_log_softmax_backward_data.out", &LogBackward::out>(m);
}

}  // namespace npu::backend

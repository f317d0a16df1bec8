// The matrix-product family on the matrix engine.
#include <ATen/ExpandUtils.h>
#include <ATen/ops/_addmm_activation_meta.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/addmm_meta.h>
#include <ATen/ops/addmv_meta.h>
#include <ATen/ops/addr_native.h>
#include <ATen/ops/baddbmm_meta.h>
#include <ATen/ops/bmm_meta.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm_meta.h>
#include <npu/kernels/matmul.h>

#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/overlap.h"
#include "csrc/backend/aten/structured.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::Scalar;
using at::Tensor;
using kernels::Activation;
using kernels::MatmulEpilogue;

void run_matmul(const Tensor& out, const Tensor& a, const Tensor& b,
                const MatmulEpilogue& epilogue = {}) {
  TORCH_CHECK(a.scalar_type() == b.scalar_type(),
              "expected m1 and m2 to have the same dtype, but got: ", a.dtype().name(),
              " != ", b.dtype().name());
  if (out.numel() == 0) return;
  if (overlaps(out, a) || overlaps(out, b)) {
    const Tensor apart = at::empty(out.sizes(), out.options());
    run_matmul(apart, a, b, epilogue);
    out.copy_(apart);
    return;
  }
  NPU_CHECK(kernels::matmul(to_kernel(out), to_kernel(a), to_kernel(b), epilogue, stream_of(out)));
}

// beta * self + alpha * (a @ b). With beta 0 what self holds does not matter, NaN included.
MatmulEpilogue epilogue_of(const Tensor& out, const Tensor& self, const Scalar& beta,
                           const Scalar& alpha, Activation activation = Activation::none) {
  MatmulEpilogue epilogue;
  epilogue.alpha = to_kernel(alpha);
  epilogue.beta = to_kernel(beta);
  epilogue.activation = activation;
  if (beta.toDouble() != 0) {
    const Tensor bias = self.expand(out.sizes());
    epilogue.bias = to_kernel(overlaps_otherwise(out, bias) ? bias.clone() : bias);
  }
  return epilogue;
}

struct Mm {
  using Meta = at::meta::structured_mm;
  static void run(const Tensor& out, const Tensor& a, const Tensor& b) { run_matmul(out, a, b); }
};

struct Bmm {
  using Meta = at::meta::structured_bmm;
  static void run(const Tensor& out, const Tensor& a, const Tensor& b) { run_matmul(out, a, b); }
};

struct Addmm {
  using Meta = at::meta::structured_addmm;
  static void run(const Tensor& out, const Tensor& self, const Tensor& a, const Tensor& b,
                  const Scalar& beta, const Scalar& alpha) {
    run_matmul(out, a, b, epilogue_of(out, self, beta, alpha));
  }
};

struct AddmmActivation {
  using Meta = at::meta::structured__addmm_activation;
  static void run(const Tensor& out, const Tensor& self, const Tensor& a, const Tensor& b,
                  const Scalar& beta, const Scalar& alpha, bool use_gelu) {
    run_matmul(out, a, b,
               epilogue_of(out, self, beta, alpha, use_gelu ? Activation::gelu : Activation::relu));
  }
};

struct Baddbmm {
  using Meta = at::meta::structured_baddbmm;
  static void run(const Tensor& out, const Tensor& self, const Tensor& a, const Tensor& b,
                  const Scalar& beta, const Scalar& alpha) {
    run_matmul(out, a, b, epilogue_of(out, self, beta, alpha));
  }
};

struct Addmv {
  using Meta = at::meta::structured_addmv;
  static void run(const Tensor& out, const Tensor& self, const Tensor& matrix, const Tensor& vector,
                  const Scalar& beta, const Scalar& alpha) {
    const Tensor column = out.unsqueeze(1);
    run_matmul(column, matrix, vector.unsqueeze(1),
               epilogue_of(column, self.expand(out.sizes()).unsqueeze(1), beta, alpha));
  }
};

template <class Op, class Signature = decltype(&Op::Meta::meta)>
struct Product;

template <class Op, class Base, class Result, class... Args>
struct Product<Op, Result (Base::*)(Args...)> {
  static Tensor functional(Args... args) {
    Structured<typename Op::Meta> op;
    op.meta(args...);
    Op::run(op.output(), args...);
    return op.finish();
  }
  static Tensor& out(Args... args, Tensor& out) {
    Structured<typename Op::Meta> op(out);
    op.meta(args...);
    Op::run(op.output(), args...);
    op.finish();
    return out;
  }
};

template <class Op, Name functional, Name out>
void product(torch::Library& library) {
  impl<functional, &Product<Op>::functional>(library);
  impl<out, &Product<Op>::out>(library);
}

Tensor dot(const Tensor& self, const Tensor& other) {
  TORCH_CHECK(self.dim() == 1 && other.dim() == 1, "1D tensors expected, but got ", self.dim(),
              "D and ", other.dim(), "D tensors");
  TORCH_CHECK(self.scalar_type() == other.scalar_type(),
              "dot : expected both vectors to have same dtype, but found ", self.scalar_type(),
              " and ", other.scalar_type());
  TORCH_CHECK(self.numel() == other.numel(), "inconsistent tensor size, expected tensor [",
              self.numel(), "] and src [", other.numel(), "] to have the same number of elements");
  TORCH_CHECK(self.device() == other.device(),
              "Expected all tensors to be on the same device. Found: ", self.device(), ", ",
              other.device());
  Tensor result = at::empty({1, 1}, self.options());
  run_matmul(result, self.unsqueeze(0), other.unsqueeze(1));
  return result.view(at::IntArrayRef());
}

// beta * self + alpha * outer(x, y). In floating point it is rounded once, as a matrix product is;
// PyTorch's composition of element-wise ops, for the other types, rounds three times.
Tensor add_outer(const Tensor& self, const Tensor& x, const Tensor& y, const Scalar& beta,
                 const Scalar& alpha) {
  const auto dtype =
      at::promote_types(self.scalar_type(), at::promote_types(x.scalar_type(), y.scalar_type()));
  if (!at::isFloatingType(dtype) || x.dim() != 1 || y.dim() != 1) {
    return at::native::math_addr(self, x, y, beta, alpha);
  }
  return at::addmm(self.to(dtype), x.to(dtype).unsqueeze(1), y.to(dtype).unsqueeze(0), beta, alpha);
}

Tensor& add_outer_out(const Tensor& self, const Tensor& x, const Tensor& y, const Scalar& beta,
                      const Scalar& alpha, Tensor& out) {
  const Tensor result = add_outer(self, x, y, beta, alpha);
  TORCH_CHECK(at::canCast(result.scalar_type(), out.scalar_type()), "result type ",
              result.scalar_type(), " can't be cast to the desired output type ",
              out.scalar_type());
  at::native::resize_output(out, result.sizes());
  return out.copy_(result);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  product<Mm, "mm", "mm.out">(m);
  product<Bmm, "bmm", "bmm.out">(m);
  product<Addmm, "addmm", "addmm.out">(m);
  product<AddmmActivation, "_addmm_activation", "_addmm_activation.out">(m);
  product<Baddbmm, "baddbmm", "baddbmm.out">(m);
  product<Addmv, "addmv", "addmv.out">(m);
  impl<"dot", &dot>(m);
  impl<"vdot", &dot>(m);
  impl<"addr", &add_outer>(m);
  impl<"addr.out", &add_outer_out>(m);
}

}  // namespace npu::backend

// Random tensors and samples: PyTorch's checks over dispatch stubs, numbers from the kernel
// library's Philox streams.
#include <ATen/Dispatch.h>
#include <ATen/native/UnaryOps.h>
#include <ATen/ops/bernoulli_native.h>
#include <ATen/ops/cauchy_native.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exponential_native.h>
#include <ATen/ops/geometric_native.h>
#include <ATen/ops/log_normal_native.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/multinomial_native.h>
#include <ATen/ops/native_dropout_backward_native.h>
#include <ATen/ops/normal_native.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/random_native.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/uniform_native.h>
#include <ATen/ops/zeros_like.h>
#include <npu/kernels/index.h>

#include "csrc/backend/aten/iterator.h"
#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/generator.h"

namespace npu::backend {
namespace {

using at::Generator;
using at::Tensor;
using at::TensorBase;
using at::TensorIteratorBase;
using kernels::Distribution;
using OptionalGenerator = std::optional<Generator>;

// 64-bit numbers come from half of the positions' resolution, so that no two calls share a block
// whatever the widths of their numbers are.
bool draws_wide(Distribution distribution, at::ScalarType type) {
  return distribution == Distribution::integer || type == at::kDouble;
}

void draw(Distribution distribution, const TensorBase& out, kernels::Scalar a, kernels::Scalar b,
          const OptionalGenerator& generator) {
  const auto n = static_cast<uint64_t>(out.numel());
  if (n == 0) return;
  NpuGenerator& source = generator_for(generator, out.device().index());
  // Normal numbers come in pairs and blocks hold four: counting in whole blocks keeps calls apart.
  constexpr uint64_t kBlock = 4;
  const bool wide = draws_wide(distribution, out.scalar_type());
  const uint64_t positions = ((wide ? 2 * n : n) + kBlock - 1) / kBlock * kBlock;
  const auto [seed, first] = source.reserve(positions);
  NPU_CHECK(kernels::random(distribution, to_kernel(Tensor(out)), a, b, seed,
                            wide ? first / 2 : first, stream_of(out)));
}

template <Distribution distribution>
void two_parameters(TensorIteratorBase& iterator, double a, double b, OptionalGenerator generator) {
  draw(distribution, iterator.tensor_base(0), a, b, generator);
}

template <Distribution distribution>
void one_parameter(TensorIteratorBase& iterator, double a, OptionalGenerator generator) {
  draw(distribution, iterator.tensor_base(0), a, 0.0, generator);
}

void normal(const TensorBase& self, double mean, double std, OptionalGenerator generator) {
  draw(Distribution::normal, self, mean, std, generator);
}

void bernoulli_scalar(const TensorBase& self, double p, OptionalGenerator generator) {
  draw(Distribution::bernoulli, self, p, 0.0, generator);
}

void bernoulli_tensor(const TensorBase& self, const TensorBase& p, OptionalGenerator generator) {
  const Tensor out(self);
  const Tensor probabilities = Tensor(p).to(out.device()).expand(out.sizes());
  const auto type = probabilities.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Tensor numbers =
      at::empty(out.sizes(), probabilities.options().dtype(type).memory_format(std::nullopt));
  draw(Distribution::uniform, numbers, 0.0, 1.0, generator);
  out.copy_(at::lt(numbers, probabilities));
}

void random_from_to(TensorIteratorBase& iterator, uint64_t range, int64_t base,
                    OptionalGenerator generator) {
  const auto end = static_cast<int64_t>(static_cast<uint64_t>(base) + range);
  draw(Distribution::integer, iterator.tensor_base(0), base, end, generator);
}

void random_full_range(TensorIteratorBase& iterator, OptionalGenerator generator) {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  draw(Distribution::integer, iterator.tensor_base(0), kLowest, kLowest, generator);
}

// From 0 to the largest value, or up to which floating types hold every integer.
void random_all(TensorIteratorBase& iterator, OptionalGenerator generator) {
  const TensorBase& out = iterator.tensor_base(0);
  const uint64_t last = AT_DISPATCH_ALL_TYPES_AND3(
      at::kBool, at::kHalf, at::kBFloat16, out.scalar_type(), "random_", [] {
        constexpr auto kDigits = std::numeric_limits<scalar_t>::digits;
        if constexpr (std::is_integral_v<scalar_t>) {
          return static_cast<uint64_t>(std::numeric_limits<scalar_t>::max());
        } else {
          return uint64_t{1} << kDigits;
        }
      });
  draw(Distribution::integer, out, int64_t{0}, static_cast<int64_t>(last + 1), generator);
}

// The category whose share of the sums holds a uniform number. In f64 the product stays below the
// last sum, so that no category without weight is chosen.
void multinomial_with_replacement(Tensor& result, const Tensor& self, int64_t samples,
                                  OptionalGenerator generator) {
  const Tensor weights = self.dim() == 1 ? self.unsqueeze(0) : self;
  const Tensor sums = at::cumsum(weights, 1, at::kDouble);
  const Tensor numbers = at::empty({weights.size(0), samples}, sums.options());
  draw(Distribution::uniform, numbers, 0.0, 1.0, generator);
  const Tensor places = numbers.mul(sums.narrow(1, sums.size(1) - 1, 1));
  result.copy_(at::searchsorted(sums, places, false, true).view(result.sizes()));
}

Tensor& randperm_out(int64_t n, OptionalGenerator generator, Tensor& out) {
  TORCH_CHECK(n >= 0, "n must be non-negative, got", n);
  out.resize_({n});
  if (n == 0) return out;
  const Tensor keys = at::empty({n}, out.options().dtype(at::kLong));
  draw(Distribution::integer, keys, int64_t{0}, std::numeric_limits<int64_t>::max(), generator);
  out.copy_(std::get<1>(at::sort(keys)));
  return out;
}

std::tuple<Tensor, Tensor> native_dropout(const Tensor& input, double p,
                                          std::optional<bool> train) {
  const auto mask_options = input.options().dtype(at::kBool);
  if (input.numel() == 0 || !train.value_or(true) || p == 0) {
    return {input.clone(), at::ones_like(input, mask_options)};
  }
  if (p == 1) return {at::zeros_like(input), at::zeros_like(input, mask_options)};
  const Tensor mask = at::empty_like(input, mask_options);
  draw(Distribution::bernoulli, mask, 1 - p, 0.0, std::nullopt);
  Tensor output;
  auto iterator = at::TensorIteratorConfig()
                      .check_all_same_dtype(false)
                      .declare_static_dtype(input.scalar_type())
                      .add_output(output)
                      .add_const_input(input)
                      .add_const_input(mask)
                      .build();
  run_elementwise(iterator, plan<"masked_scale">(1 / (1 - p)));
  return {iterator.output(), mask};
}

}  // namespace
}  // namespace npu::backend

namespace at::native {

using npu::backend::one_parameter;
using npu::backend::two_parameters;
using npu::kernels::Distribution;

REGISTER_PRIVATEUSE1_DISPATCH(uniform_stub, &two_parameters<Distribution::uniform>)
REGISTER_PRIVATEUSE1_DISPATCH(log_normal_stub, &two_parameters<Distribution::log_normal>)
REGISTER_PRIVATEUSE1_DISPATCH(cauchy_stub, &two_parameters<Distribution::cauchy>)
REGISTER_PRIVATEUSE1_DISPATCH(exponential_stub, &one_parameter<Distribution::exponential>)
REGISTER_PRIVATEUSE1_DISPATCH(geometric_stub, &one_parameter<Distribution::geometric>)
REGISTER_PRIVATEUSE1_DISPATCH(normal_stub, &npu::backend::normal)
REGISTER_PRIVATEUSE1_DISPATCH(bernoulli_scalar_stub, &npu::backend::bernoulli_scalar)
REGISTER_PRIVATEUSE1_DISPATCH(bernoulli_tensor_stub, &npu::backend::bernoulli_tensor)
REGISTER_PRIVATEUSE1_DISPATCH(random_from_to_stub, &npu::backend::random_from_to)
REGISTER_PRIVATEUSE1_DISPATCH(random_full_64_bits_range_stub, &npu::backend::random_full_range)
REGISTER_PRIVATEUSE1_DISPATCH(random_stub, &npu::backend::random_all)
REGISTER_PRIVATEUSE1_DISPATCH(multinomial_with_replacement_stub,
                              &npu::backend::multinomial_with_replacement)

}  // namespace at::native

namespace npu::backend {

namespace native = at::native;

template <class... Args>
using InPlace = Tensor& (*)(Tensor&, Args..., OptionalGenerator);

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"random_", static_cast<InPlace<>>(&native::random_)>(m);
  impl<"random_.to", static_cast<InPlace<int64_t>>(&native::random_)>(m);
  impl<"random_.from", static_cast<InPlace<int64_t, std::optional<int64_t>>>(&native::random_)>(m);
  impl<"uniform_", &native::uniform_>(m);
  impl<"normal_", &native::normal_>(m);
  impl<"exponential_", &native::exponential_>(m);
  impl<"geometric_", &native::geometric_>(m);
  impl<"log_normal_", &native::log_normal_>(m);
  impl<"cauchy_", &native::cauchy_>(m);
  impl<"bernoulli_.float", static_cast<InPlace<double>>(&native::bernoulli_)>(m);
  impl<"bernoulli_.Tensor", static_cast<InPlace<const Tensor&>>(&native::bernoulli_)>(m);
  impl<"bernoulli.out", &native::bernoulli_out>(m);
  impl<"multinomial", &native::multinomial>(m);
  impl<"multinomial.out", &native::multinomial_out>(m);
  impl<"randperm.generator_out", &randperm_out>(m);
  impl<"native_dropout", &native_dropout>(m);
  impl<"native_dropout_backward", &native::native_dropout_backward>(m);

  impl<"normal.Tensor_float",
       static_cast<Tensor (*)(const Tensor&, double, OptionalGenerator)>(&native::normal)>(m);
  impl<"normal.float_Tensor",
       static_cast<Tensor (*)(double, const Tensor&, OptionalGenerator)>(&native::normal)>(m);
  impl<"normal.Tensor_Tensor",
       static_cast<Tensor (*)(const Tensor&, const Tensor&, OptionalGenerator)>(&native::normal)>(
      m);
  impl<"normal.Tensor_float_out", static_cast<Tensor& (*)(const Tensor&, double, OptionalGenerator,
                                                          Tensor&)>(&native::normal_out)>(m);
  impl<"normal.float_Tensor_out", static_cast<Tensor& (*)(double, const Tensor&, OptionalGenerator,
                                                          Tensor&)>(&native::normal_out)>(m);
  impl<"normal.Tensor_Tensor_out",
       static_cast<Tensor& (*)(const Tensor&, const Tensor&, OptionalGenerator, Tensor&)>(
           &native::normal_out)>(m);
}

}  // namespace npu::backend

// Reading and writing at indices.
#include <ATen/Dispatch.h>
#include <ATen/ExpandUtils.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/native/IndexKernel.h>
#include <ATen/native/IndexingUtils.h>
#include <ATen/native/ReductionType.h>
#include <ATen/native/Resize.h>
#include <ATen/native/TensorAdvancedIndexing.h>
#include <ATen/ops/_index_put_impl_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather_native.h>
#include <ATen/ops/index_add_meta.h>
#include <ATen/ops/index_copy_meta.h>
#include <ATen/ops/index_fill_native.h>
#include <ATen/ops/index_native.h>
#include <ATen/ops/index_reduce_meta.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/put_native.h>
#include <ATen/ops/scatter_add_native.h>
#include <ATen/ops/scatter_native.h>
#include <ATen/ops/scatter_reduce_native.h>
#include <ATen/ops/take_native.h>
#include <ATen/ops/zeros_like.h>
#include <npu/kernels/index.h>

#include "csrc/backend/aten/iterator.h"
#include "csrc/backend/aten/native.h"
#include "csrc/backend/aten/structured_impl.h"
#include "csrc/backend/aten/views.h"
#include "csrc/backend/runtime/check.h"

namespace npu::backend {
namespace {

using at::IntArrayRef;
using at::Scalar;
using at::Tensor;
using at::TensorBase;
using at::TensorIterator;
using at::TensorIteratorBase;
using at::native::ReductionType;
using kernels::Accumulate;
using OptionalTensors = c10::List<std::optional<Tensor>>;

// ---- Advanced indexing --------------------------------------------------------------------------

// What TensorIterator's restriding says of the indexed dimensions, in elements.
struct Indexed {
  std::vector<kernels::Tensor> indices;
  std::vector<int64_t> lengths;
  std::vector<int64_t> strides;
};

Indexed indexed_dims(TensorIteratorBase& iterator, IntArrayRef lengths, IntArrayRef byte_strides,
                     int64_t element) {
  Indexed indexed;
  for (int i = 2; i < iterator.ntensors(); ++i) {
    indexed.indices.push_back(iterator_operand(iterator, i));
  }
  indexed.lengths = lengths.vec();
  for (int64_t stride : byte_strides) indexed.strides.push_back(stride / element);
  return indexed;
}

void index_kernel(TensorIteratorBase& iterator, IntArrayRef lengths, IntArrayRef strides) {
  if (iterator.numel() == 0) return;
  const Indexed indexed = indexed_dims(iterator, lengths, strides, iterator.element_size(1));
  NPU_CHECK(kernels::index_get(iterator_operand(iterator, 0), iterator_operand(iterator, 1),
                               indexed.indices, indexed.lengths, indexed.strides,
                               current_stream(iterator.device(0).index())));
}

void index_put_kernel(TensorIterator& iterator, IntArrayRef lengths, IntArrayRef strides,
                      bool accumulate) {
  if (iterator.numel() == 0) return;
  const Indexed indexed = indexed_dims(iterator, lengths, strides, iterator.element_size(0));
  NPU_CHECK(kernels::index_put(iterator_operand(iterator, 0), iterator_operand(iterator, 1),
                               indexed.indices, indexed.lengths, indexed.strides, accumulate,
                               current_stream(iterator.device(0).index())));
}

// Indices of one shape, one for each dimension of `self` that is indexed; those dimensions stand
// next to each other.
std::pair<Tensor, std::vector<Tensor>> adjacent_indices(const Tensor& self,
                                                        const OptionalTensors& given) {
  auto indices = at::expand_outplace(
      at::native::expandTensors(self, at::IOptTensorListRef(given), /*ensure_same_device=*/true));
  indices.resize(static_cast<size_t>(self.dim()));
  if (at::native::hasContiguousSubspace(indices)) return {self, indices};
  auto [front, moved] = at::native::transposeToFront(self, indices);
  return {front, moved};
}

// PyTorch takes this way for sums on devices. Nothing needs sorting: additions commit in order.
void index_put_sum(Tensor& self, const OptionalTensors& given, const Tensor& value, bool accumulate,
                   bool /*unsafe*/) {
  const auto [target, indices] = adjacent_indices(self, given);
  // The result's dimensions: those before the indexed ones, those of the indices, those after.
  std::vector<int64_t> sizes, strides;
  Indexed indexed;
  Tensor shape;
  int64_t before = 0;
  for (int64_t d = 0; d < target.dim(); ++d) {
    const Tensor& index = indices[static_cast<size_t>(d)];
    if (!index.defined()) {
      sizes.push_back(target.size(d));
      strides.push_back(target.stride(d));
      continue;
    }
    if (!shape.defined()) {
      shape = index;
      before = static_cast<int64_t>(sizes.size());
      sizes.insert(sizes.end(), index.sizes().begin(), index.sizes().end());
      strides.insert(strides.end(), static_cast<size_t>(index.dim()), 0);
    }
    indexed.lengths.push_back(target.size(d));
    indexed.strides.push_back(target.stride(d));
  }
  TORCH_CHECK(at::is_expandable_to(value.sizes(), sizes), "shape mismatch: value tensor of shape ",
              value.sizes(), " cannot be broadcast to indexing result of shape ",
              IntArrayRef(sizes));
  std::vector<Tensor> alive;
  for (const Tensor& index : indices) {
    if (!index.defined()) continue;
    auto spread_sizes = std::vector<int64_t>(sizes.size(), 1);
    std::copy(index.sizes().begin(), index.sizes().end(), spread_sizes.begin() + before);
    alive.push_back(index.to(at::kLong).reshape(spread_sizes).expand(sizes));
    indexed.indices.push_back(to_kernel(alive.back()));
  }
  const Tensor view = target.as_strided(sizes, strides);
  if (view.numel() == 0) return;
  NPU_CHECK(kernels::index_put(to_kernel(view), to_kernel(value.expand(sizes)), indexed.indices,
                               indexed.lengths, indexed.strides, accumulate, stream_of(self)));
}

Tensor index(const Tensor& self, const OptionalTensors& indices) {
  Structured<at::native::structured_index_out> op;
  const auto indexed = op.meta(self, at::IOptTensorListRef(indices));
  op.impl(self, indexed.sizes, indexed.strides, op.output());
  return op.finish();
}

Tensor& index_out(const Tensor& self, const OptionalTensors& indices, Tensor& out) {
  Structured<at::native::structured_index_out> op(out);
  const auto indexed = op.meta(self, at::IOptTensorListRef(indices));
  op.impl(self, indexed.sizes, indexed.strides, op.output());
  op.finish();
  return out;
}

// The first element of `value`, broadcast to the sizes of an iterator's operand.
kernels::Tensor spread(const Tensor& value, const kernels::Tensor& like) {
  kernels::Tensor spread = like;
  spread.data = value.data_ptr();
  spread.dtype = to_dtype(value.scalar_type());
  spread.strides = {};
  return spread;
}

void index_fill_kernel(TensorIterator& iterator, int64_t /*dim*/, int64_t length, int64_t stride,
                       const Scalar& value) {
  if (iterator.numel() == 0) return;
  const kernels::Tensor view = iterator_operand(iterator, 0);
  const kernels::Tensor index = iterator_operand(iterator, 1);
  const Tensor source = at::full({}, value, iterator.tensor(0).options());
  NPU_CHECK(kernels::index_put(view, spread(source, view), {&index, 1}, {&length, 1}, {&stride, 1},
                               false, current_stream(iterator.device(0).index())));
}

// Both see the tensor as one vector: its first element, moved by the index.
void take_kernel(TensorIterator& iterator, const TensorBase& input) {
  if (iterator.numel() == 0) return;
  const Tensor self = Tensor(input).contiguous();
  const kernels::Tensor out = iterator_operand(iterator, 0);
  const kernels::Tensor index = iterator_operand(iterator, 1);
  const int64_t length = self.numel();
  const int64_t stride = 1;
  NPU_CHECK(kernels::index_get(out, spread(self, out), {&index, 1}, {&length, 1}, {&stride, 1},
                               stream_of(self)));
}

void put_kernel(TensorIterator& iterator, const TensorBase& target, bool accumulate) {
  if (iterator.numel() == 0) return;
  const Tensor self(target);
  const Tensor contiguous = self.contiguous();
  const kernels::Tensor source = iterator_operand(iterator, 0);
  const kernels::Tensor index = iterator_operand(iterator, 1);
  const int64_t length = self.numel();
  const int64_t stride = 1;
  NPU_CHECK(kernels::index_put(spread(contiguous, source), source, {&index, 1}, {&length, 1},
                               {&stride, 1}, accumulate, stream_of(self)));
  if (!contiguous.is_same(self)) self.copy_(contiguous);
}

// ---- Along one dimension ------------------------------------------------------------------------

Tensor& index_select_out(const Tensor& self, int64_t dim, const Tensor& index, Tensor& out) {
  dim = at::maybe_wrap_dim(dim, self.dim());
  TORCH_CHECK_INDEX(index.dim() <= 1, "index_select(): Index is supposed to be a vector");
  TORCH_CHECK(index.scalar_type() == at::kLong || index.scalar_type() == at::kInt,
              "index_select(): Expected dtype int32 or int64 for index");
  TORCH_CHECK(self.scalar_type() == out.scalar_type(),
              "index_select(): self and result must have the same scalar type");
  TORCH_CHECK(self.device() == index.device() && self.device() == out.device(),
              "index_select(): self, index and result must be on one device, got ", self.device(),
              ", ", index.device(), " and ", out.device());
  auto sizes = self.sizes().vec();
  if (self.dim() > 0) sizes[static_cast<size_t>(dim)] = index.numel();
  TORCH_CHECK_INDEX(self.dim() > 0 || index.numel() == 1,
                    "index_select(): a scalar takes one index, got ", index.numel());
  at::assert_no_internal_overlap(out);
  at::assert_no_overlap(out, self);
  at::assert_no_overlap(out, index);
  at::native::resize_output(out, sizes);
  if (out.numel() == 0) return out;
  NPU_CHECK(kernels::index_select(to_kernel(as_vector(out)), to_kernel(as_vector(self)),
                                  static_cast<int>(dim), to_kernel(as_vector(index)),
                                  stream_of(self)));
  return out;
}

Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index) {
  Tensor out = at::empty({0}, self.options());
  return index_select_out(self, dim, index, out);
}

void gather_kernel(const Tensor& result, const Tensor& self, int64_t dim, const Tensor& index) {
  if (result.numel() == 0) return;
  NPU_CHECK(kernels::gather(to_kernel(as_vector(result)), to_kernel(as_vector(self)),
                            static_cast<int>(at::maybe_wrap_dim(dim, self.dim())),
                            to_kernel(as_vector(index)), stream_of(self)));
}

// `src` may be larger than `index`, whose sizes count.
void run_scatter(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                 Accumulate how) {
  if (index.numel() == 0) return;
  const kernels::Tensor at = to_kernel(as_vector(index));
  kernels::Tensor values = to_kernel(as_vector(src));
  values.sizes = at.sizes;
  NPU_CHECK(kernels::scatter(to_kernel(as_vector(self)),
                             static_cast<int>(at::maybe_wrap_dim(dim, self.dim())), at, values, how,
                             stream_of(self)));
}

Accumulate accumulate_by(ReductionType reduction) {
  switch (reduction) {
    case ReductionType::PROD:
      return Accumulate::multiply;
    case ReductionType::MAX:
      return Accumulate::max;
    case ReductionType::MIN:
      return Accumulate::min;
    default:  // a mean is a sum that PyTorch divides
      return Accumulate::add;
  }
}

Tensor spread_value(const Scalar& value, const Tensor& self, const Tensor& index) {
  return at::full({}, value, self.options()).expand(index.sizes());
}

template <Accumulate how>
void scatter_kernel(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src) {
  run_scatter(self, dim, index, src, how);
}

void scatter_fill(const Tensor& self, int64_t dim, const Tensor& index, const Scalar& value) {
  run_scatter(self, dim, index, spread_value(value, self, index), Accumulate::assign);
}

void scatter_reduce(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                    const ReductionType& reduction) {
  run_scatter(self, dim, index, src, accumulate_by(reduction));
}

void scatter_scalar_reduce(const Tensor& self, int64_t dim, const Tensor& index,
                           const Scalar& value, const ReductionType& reduction) {
  run_scatter(self, dim, index, spread_value(value, self, index), accumulate_by(reduction));
}

void accumulate_rows(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                     Accumulate how) {
  if (index.numel() == 0 || source.numel() == 0) return;
  NPU_CHECK(kernels::index_accumulate(to_kernel(as_vector(self)), static_cast<int>(dim),
                                      to_kernel(as_vector(index)), to_kernel(as_vector(source)),
                                      how, stream_of(self)));
}

void start_from(const Tensor& result, const Tensor& self) {
  if (!result.is_same(self)) result.copy_(self);
}

struct IndexAdd {
  using Meta = at::meta::structured_index_add;
  static void run(const Tensor& result, const Tensor& self, int64_t dim, const Tensor& index,
                  const Tensor& source, const Scalar& alpha) {
    start_from(result, self);
    const Tensor scaled = alpha.equal(1) ? source : source.mul(alpha).to(result.scalar_type());
    accumulate_rows(result, dim, index, scaled, Accumulate::add);
  }
};

struct IndexCopy {
  using Meta = at::meta::structured_index_copy;
  static void run(const Tensor& result, const Tensor& self, int64_t dim, const Tensor& index,
                  const Tensor& source) {
    start_from(result, self);
    accumulate_rows(result, dim, index, source, Accumulate::assign);
  }
};

// What leaves any other operand of the reduction as it is.
Scalar neutral_value(ReductionType reduction, at::ScalarType type) {
  if (reduction == ReductionType::PROD) return 1;
  if (reduction != ReductionType::MAX && reduction != ReductionType::MIN) return 0;
  const bool largest = reduction == ReductionType::MIN;
  if (at::isFloatingType(type)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return largest ? infinity : -infinity;
  }
  return AT_DISPATCH_INTEGRAL_TYPES_AND(at::kBool, type, "index_reduce", [&]() -> Scalar {
    using Limits = std::numeric_limits<scalar_t>;
    return static_cast<int64_t>(largest ? Limits::max() : Limits::lowest());
  });
}

struct IndexReduce {
  using Meta = at::meta::structured_index_reduce;
  static void run(const Tensor& result, const Tensor& self, int64_t dim, const Tensor& index,
                  const Tensor& source, std::string_view reduce, bool include_self) {
    const ReductionType reduction = at::native::get_operator_enum(reduce, true);
    start_from(result, self);
    if (!include_self) {
      const Scalar neutral = neutral_value(reduction, result.scalar_type());
      as_vector(result).index_fill_(dim, index, neutral);
    }
    accumulate_rows(result, dim, index, source, accumulate_by(reduction));
    if (reduction != ReductionType::MEAN) return;
    const Tensor count = include_self ? at::ones_like(result) : at::zeros_like(result);
    accumulate_rows(count, dim, index, at::ones_like(source), Accumulate::add);
    count.masked_fill_(count.eq(0), 1);
    if (at::isFloatingType(result.scalar_type())) {
      result.div_(count);
    } else {
      result.div_(count, "floor");
    }
  }
};

// The functional and out= forms of ops whose META wraps the dimension.
template <class Op, class Signature = decltype(&Op::run)>
struct AlongDim;

template <class Op, class... Args>
struct AlongDim<Op, void (*)(const Tensor&, const Tensor&, int64_t, Args...)> {
  static Tensor functional(const Tensor& self, int64_t dim, Args... args) {
    Structured<typename Op::Meta> op;
    const auto wrapped = op.meta(self, dim, args...);
    Op::run(op.output(), self, wrapped.dim, args...);
    return op.finish();
  }
  static Tensor& out(const Tensor& self, int64_t dim, Args... args, Tensor& out) {
    Structured<typename Op::Meta> op(out);
    const auto wrapped = op.meta(self, dim, args...);
    Op::run(op.output(), self, wrapped.dim, args...);
    op.finish();
    return out;
  }
};

}  // namespace
}  // namespace npu::backend

namespace at::native {

using npu::kernels::Accumulate;

REGISTER_PRIVATEUSE1_DISPATCH(index_stub, &npu::backend::index_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(index_put_stub, &npu::backend::index_put_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(index_put_with_sort_stub, &npu::backend::index_put_sum)
REGISTER_PRIVATEUSE1_DISPATCH(index_fill_stub, &npu::backend::index_fill_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(take_stub, &npu::backend::take_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(put_stub, &npu::backend::put_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(gather_stub, &npu::backend::gather_kernel)
REGISTER_PRIVATEUSE1_DISPATCH(scatter_stub, &npu::backend::scatter_kernel<Accumulate::assign>)
REGISTER_PRIVATEUSE1_DISPATCH(scatter_add_stub, &npu::backend::scatter_kernel<Accumulate::add>)
REGISTER_PRIVATEUSE1_DISPATCH(scatter_fill_stub, &npu::backend::scatter_fill)
REGISTER_PRIVATEUSE1_DISPATCH(scatter_reduce_stub, &npu::backend::scatter_reduce)
REGISTER_PRIVATEUSE1_DISPATCH(scatter_scalar_reduce_stub, &npu::backend::scatter_scalar_reduce)
REGISTER_PRIVATEUSE1_DISPATCH(scatter_reduce_two_stub, &npu::backend::scatter_reduce)

}  // namespace at::native

namespace npu::backend {

namespace native = at::native;

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  impl<"index.Tensor", &index>(m);
  impl<"index.Tensor_out", &index_out>(m);
  impl<"_index_put_impl_", &native::_index_put_impl_>(m);
  impl<"index_fill_.int_Scalar", static_cast<Tensor& (*)(Tensor&, int64_t, const Tensor&,
                                                         const Scalar&)>(&native::index_fill_)>(m);
  impl<"index_fill_.int_Tensor", static_cast<Tensor& (*)(Tensor&, int64_t, const Tensor&,
                                                         const Tensor&)>(&native::index_fill_)>(m);
  impl<"take", &native::take>(m);
  impl<"take.out", &native::take_out>(m);
  impl<"put_", &native::put_>(m);

  impl<"index_select", &index_select>(m);
  impl<"index_select.out", &index_select_out>(m);
  structured<native::structured_gather_out, "gather", "gather.out">(m);
  structured<native::structured_scatter_src_out, "scatter.src", "scatter.src_out">(m);
  structured<native::structured_scatter_value_out, "scatter.value", "scatter.value_out">(m);
  structured<native::structured_scatter_reduce_out, "scatter.reduce", "scatter.reduce_out">(m);
  structured<native::structured_scatter_value_reduce_out, "scatter.value_reduce",
             "scatter.value_reduce_out">(m);
  structured<native::structured_scatter_add, "scatter_add", "scatter_add.out">(m);
  structured<native::structured_scatter_reduce_two, "scatter_reduce.two", "scatter_reduce.two_out">(
      m);
  impl<"index_add", &AlongDim<IndexAdd>::functional>(m);
  impl<"index_add.out", &AlongDim<IndexAdd>::out>(m);
  impl<"index_copy", &AlongDim<IndexCopy>::functional>(m);
  impl<"index_copy.out", &AlongDim<IndexCopy>::out>(m);
  impl<"index_reduce", &AlongDim<IndexReduce>::functional>(m);
  impl<"index_reduce.out", &AlongDim<IndexReduce>::out>(m);
}

}  // namespace npu::backend

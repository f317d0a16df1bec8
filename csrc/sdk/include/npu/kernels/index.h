// Indexing, concatenation, sorting, searching and random numbers.
#pragma once

#include "npu/kernels/tensor.h"

namespace npu::kernels {

// out[..., i, ...] = in[..., index[i], ...] along `dim`; index rank 1, i32/i64. Embedding is dim 0.
npuStatus index_select(const Tensor& out, const Tensor& in, int dim, const Tensor& index,
                       npuStream stream);
// torch.gather: index has out's sizes.
npuStatus gather(const Tensor& out, const Tensor& in, int dim, const Tensor& index,
                 npuStream stream);

enum class Accumulate { assign, add, multiply, max, min };
// torch.scatter / scatter_add / scatter_reduce without the mean: self[index along dim] op= src,
// src and index of equal sizes, in index order.
npuStatus scatter(const Tensor& self, int dim, const Tensor& index, const Tensor& src,
                  Accumulate how, npuStream stream);
// self[..., index[i], ...] op= src[..., i, ...] along dim; index rank 1. (index_add, index_copy)
npuStatus index_accumulate(const Tensor& self, int dim, const Tensor& index, const Tensor& src,
                           Accumulate how, npuStream stream);

// Advanced indexing. `self` is restrided as TensorIterator does it: `indices[k]` (i64, all of the
// iteration's sizes, stride 0 broadcast) select along a dimension of length `lengths[k]` and stride
// `strides[k]` elements; `view` is self with those dimensions replaced by the iteration's sizes,
// stride 0 in them. Negative indices count from the end; an index out of range fails the launch.
npuStatus index_get(const Tensor& out, const Tensor& view, TensorSpan indices,
                    std::span<const int64_t> lengths, std::span<const int64_t> strides,
                    npuStream stream);
npuStatus index_put(const Tensor& view, const Tensor& src, TensorSpan indices,
                    std::span<const int64_t> lengths, std::span<const int64_t> strides,
                    bool accumulate, npuStream stream);

// Number of true (non-zero) elements of `in` into count (i64 scalar), then their coordinates
// [n, rank] i64 in row-major order.
npuStatus nonzero(const Tensor& coordinates, const Tensor& in, npuStream stream);

// Stable sort along dim. values and indices (i64) have in's sizes. NaN is the largest.
npuStatus sort(const Tensor& values, const Tensor& indices, const Tensor& in, int dim,
               bool descending, npuStream stream);
// The k = values.sizes[dim] largest or smallest, sorted.
npuStatus topk(const Tensor& values, const Tensor& indices, const Tensor& in, int dim, bool largest,
               npuStream stream);
// torch.searchsorted: sorted [..., n] (innermost), values [..., m]; out i64.
npuStatus searchsorted(const Tensor& out, const Tensor& sorted, const Tensor& values, bool right,
                       npuStream stream);

// Philox4x32-10 streams: element i of the tensor (row-major) draws from counter offset + i.
enum class Distribution {
  uniform,      // a, b: [a, b)
  normal,       // a mean, b standard deviation
  exponential,  // a: rate
  integer,      // a, b: [a, b)
  bernoulli,    // a: probability
  log_normal,
  cauchy,
  geometric
};
npuStatus random(Distribution distribution, const Tensor& out, Scalar a, Scalar b, uint64_t seed,
                 uint64_t offset, npuStream stream);

}  // namespace npu::kernels

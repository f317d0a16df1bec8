#include "csrc/backend/tensor/copy.h"

#include <ATen/DeviceGuard.h>
#include <ATen/ExpandUtils.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/ops/_conj.h>
#include <ATen/ops/_neg_view.h>
#include <ATen/ops/conj_physical.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/neg.h>
#include <c10/util/strides.h>
#include <torch/library.h>

#include <algorithm>

#include "csrc/backend/aten/overlap.h"
#include "csrc/backend/fallback/fallback.h"
#include "csrc/backend/runtime/check.h"
#include "csrc/backend/runtime/stream.h"
#include "csrc/backend/runtime/tensor.h"
#include "csrc/backend/tensor/empty.h"
#include "npu/kernels/elementwise.h"

namespace npu::backend {
namespace {

// One integer of an element's width stands for dtypes that kernels do not compute with; moving
// them takes no arithmetic. Elements of 16 bytes become pairs.
kernels::Tensor as_bits(const at::Tensor& tensor) {
  kernels::Tensor view;
  view.data = tensor.data_ptr();
  view.rank = static_cast<int>(tensor.dim());
  const bool pairs = tensor.itemsize() == 16;
  TORCH_CHECK(view.rank + pairs <= kernels::kMaxRank, "the npu device takes at most ",
              kernels::kMaxRank, " dimensions, got ", tensor.dim());
  std::ranges::copy(tensor.sizes(), view.sizes.begin());
  std::ranges::transform(tensor.strides(), view.strides.begin(),
                         [&](int64_t stride) { return pairs ? 2 * stride : stride; });
  if (pairs) {
    view.sizes[view.rank] = 2;
    view.strides[view.rank] = 1;
    ++view.rank;
  }
  switch (tensor.itemsize()) {
    case 1:
      view.dtype = NPU_U8;
      break;
    case 2:
      view.dtype = NPU_I16;
      break;
    case 4:
      view.dtype = NPU_I32;
      break;
    default:
      view.dtype = NPU_I64;
      break;
  }
  return view;
}

// Whether one transfer of numel() elements moves the whole of `a` to `b`.
bool same_dense_layout(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         ((a.is_contiguous() && b.is_contiguous()) ||
          (a.strides() == b.strides() && a.is_non_overlapping_and_dense()));
}

// Strides of a dense tensor that goes with `tensor`: its own, if it is dense.
at::DimVector dense_strides(const at::Tensor& tensor) {
  if (tensor.is_non_overlapping_and_dense()) return at::DimVector(tensor.strides());
  return c10::contiguous_strides(tensor.sizes());
}

at::Tensor new_dense(const at::Tensor& like, c10::ScalarType dtype, c10::Device device) {
  return device.is_cpu() ? at::empty_strided(like.sizes(), dense_strides(like),
                                             at::TensorOptions(device).dtype(dtype))
                         : empty_strided(like.sizes(), dense_strides(like), dtype, device);
}

bool converts_on_device(c10::ScalarType from, c10::ScalarType to) {
  return from == to || (has_kernels(from) && has_kernels(to));
}

void copy_across(const at::Tensor& dst, const at::Tensor& src, bool non_blocking);

// Same device, same sizes.
void copy_within(const at::Tensor& dst, const at::Tensor& src) {
  const npuStream stream = current_stream(dst.device().index());
  if (overlaps_otherwise(dst, src)) {
    const at::Tensor apart = new_dense(src, src.scalar_type(), src.device());
    copy_within(apart, src);
    copy_within(dst, apart);
  } else if (same_dense_layout(dst, src)) {
    NPU_CHECK(
        npuMemcpyAsync(dst.data_ptr(), src.data_ptr(), src.nbytes(), NPU_DEVICE_TO_DEVICE, stream));
  } else if (has_kernels(src.scalar_type()) && has_kernels(dst.scalar_type())) {
    NPU_CHECK(kernels::copy(to_kernel(dst), to_kernel(src), stream));
  } else if (src.scalar_type() == dst.scalar_type()) {
    NPU_CHECK(kernels::copy(as_bits(dst), as_bits(src), stream));
  } else {
    record_fallback("aten::_copy_from");
    const at::Tensor host = new_dense(src, src.scalar_type(), at::kCPU);
    copy_across(host, src, /*non_blocking=*/false);
    copy_across(dst, host.to(dst.scalar_type()), /*non_blocking=*/false);
  }
}

// Keeps pinned memory from reuse while the copy is under way, or ends it before the caller goes on.
void settle_host_side(const at::Tensor& host, c10::DeviceIndex device, bool non_blocking) {
  const auto& memory = host.storage().data_ptr();
  if (!non_blocking) {
    NPU_CHECK(npuStreamSynchronize(current_stream(device)));
    return;
  }
  at::getHostAllocator(at::kPrivateUse1)
      ->record_event(host.data_ptr(), memory.get_context(), current_torch_stream(device));
}

bool is_pinned(const at::Tensor& host) {
  npuPointerAttributes attributes{};
  return npuPointerGetAttributes(host.const_data_ptr(), &attributes) == NPU_SUCCESS;
}

void upload(const at::Tensor& dst, const at::Tensor& src, bool non_blocking) {
  // The host arranges its data as the device wants them.
  at::Tensor staged = src;
  if (!same_dense_layout(dst, src)) {
    staged = new_dense(dst, dst.scalar_type(), at::kCPU);
    staged.copy_(src);
  }
  at::Tensor landing = dst;
  if (!dst.is_non_overlapping_and_dense()) {
    landing = empty_strided(dst.sizes(), staged.strides(), dst.scalar_type(), dst.device());
  }
  NPU_CHECK(npuMemcpyAsync(landing.data_ptr(), staged.const_data_ptr(), staged.nbytes(),
                           NPU_HOST_TO_DEVICE, current_stream(dst.device().index())));
  if (staged.is_same(src) && is_pinned(src)) {
    settle_host_side(src, dst.device().index(), non_blocking);
  }
  if (!landing.is_same(dst)) copy_within(dst, landing);
}

// `src` in a dense layout that fits dst, in dst's dtype where the device can convert.
at::Tensor prepared_source(const at::Tensor& dst, const at::Tensor& src) {
  const auto dtype = converts_on_device(src.scalar_type(), dst.scalar_type()) ? dst.scalar_type()
                                                                              : src.scalar_type();
  const bool fits =
      dst.is_non_overlapping_and_dense()
          ? dst.strides() == src.strides() || (dst.is_contiguous() && src.is_contiguous())
          : src.is_non_overlapping_and_dense();
  if (fits && src.scalar_type() == dtype) return src;
  const at::Tensor prepared = new_dense(dst, dtype, src.device());
  copy_within(prepared, src);
  return prepared;
}

void download(const at::Tensor& dst, const at::Tensor& src, bool non_blocking) {
  const at::Tensor source = prepared_source(dst, src);
  if (source.scalar_type() != dst.scalar_type()) record_fallback("aten::_copy_from");
  at::Tensor landing = dst;
  if (!same_dense_layout(dst, source)) {
    landing = at::empty_strided(source.sizes(), source.strides(),
                                at::TensorOptions(at::kCPU).dtype(source.scalar_type()));
  }
  NPU_CHECK(npuMemcpyAsync(landing.data_ptr(), source.data_ptr(), source.nbytes(),
                           NPU_DEVICE_TO_HOST, current_stream(src.device().index())));
  if (landing.is_same(dst)) {
    if (is_pinned(dst)) settle_host_side(dst, src.device().index(), non_blocking);
  } else {
    dst.copy_(landing);
  }
}

// Makes `later` wait for the work that `earlier` has now.
void order(npuStream earlier, npuStream later) {
  npuEvent event = nullptr;
  NPU_CHECK(npuEventCreate(&event));
  npuStatus status = npuEventRecord(event, earlier);
  if (status == NPU_SUCCESS) status = npuStreamWaitEvent(later, event);
  npuEventDestroy(event);
  NPU_CHECK(status);
}

void copy_to_peer(const at::Tensor& dst, const at::Tensor& src) {
  const npuStream source_stream = current_stream(src.device().index());
  const npuStream target_stream = current_stream(dst.device().index());
  const at::Tensor source = prepared_source(dst, src);
  at::Tensor landing = dst;
  if (!same_dense_layout(dst, source)) {
    landing = empty_strided(source.sizes(), source.strides(), source.scalar_type(), dst.device());
  }
  order(target_stream, source_stream);  // the destination is free to be written
  NPU_CHECK(npuMemcpyAsync(landing.data_ptr(), source.data_ptr(), source.nbytes(),
                           NPU_DEVICE_TO_DEVICE, source_stream));
  order(source_stream, target_stream);
  if (!landing.is_same(dst)) copy_within(dst, landing);
}

void copy_across(const at::Tensor& dst, const at::Tensor& src, bool non_blocking) {
  if (dst.is_cpu()) {
    const c10::DeviceGuard guard(src.device());
    download(dst, src, non_blocking);
  } else if (src.is_cpu()) {
    const c10::DeviceGuard guard(dst.device());
    upload(dst, src, non_blocking);
  } else {
    TORCH_CHECK(is_npu(src) && is_npu(dst), "cannot copy between ", src.device(), " and ",
                dst.device());
    const c10::DeviceGuard guard(src.device());
    copy_to_peer(dst, src);
  }
}

// The tensor without lazy conjugation and negation.
at::Tensor resolved(at::Tensor tensor) {
  if (tensor.is_neg()) tensor = at::neg(at::_neg_view(tensor));
  if (tensor.is_conj()) tensor = at::conj_physical(at::_conj(tensor));
  return tensor;
}

}  // namespace

void copy_tensor(const at::Tensor& dst, const at::Tensor& src, bool non_blocking) {
  if (dst.is_neg()) return copy_tensor(at::_neg_view(dst), at::neg(src), non_blocking);
  if (dst.is_conj()) return copy_tensor(at::_conj(dst), at::conj_physical(src), non_blocking);
  const auto shape = at::infer_size(dst.sizes(), src.sizes());
  TORCH_CHECK(dst.sizes() == shape, "output with shape ", dst.sizes(),
              " doesn't match the broadcast shape ", shape);
  if (dst.numel() == 0) return;
  at::assert_no_internal_overlap(dst);
  at::Tensor source = resolved(src);
  // Few elements for many: send the few.
  if (source.is_cpu() && source.numel() < dst.numel() && has_kernels(dst.scalar_type())) {
    const at::Tensor few = empty(source.sizes(), dst.scalar_type(), dst.device());
    copy_across(few, source, non_blocking);
    source = few;
  }
  source = source.expand_as(dst);
  if (source.device() != dst.device()) return copy_across(dst, source, non_blocking);
  if (source.is_alias_of(dst)) {
    if (source.storage_offset() == dst.storage_offset() && source.strides() == dst.strides() &&
        source.scalar_type() == dst.scalar_type()) {
      return;
    }
    at::assert_no_partial_overlap(dst, source);
  }
  const c10::DeviceGuard guard(dst.device());
  copy_within(dst, source);
}

namespace {

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& dst, bool non_blocking) {
  if (self.is_complex() && !dst.is_complex() && dst.scalar_type() != at::kBool) {
    TORCH_WARN_ONCE("Casting complex values to real discards the imaginary part");
  }
  copy_tensor(dst, self, non_blocking);
  return dst;
}

// A view that has the right sizes keeps its strides.
at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& dst) {
  if (dst.sizes() != self.sizes()) dst.resize_(self.sizes());
  copy_tensor(dst, self);
  return dst;
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_from_and_resize);
}

// Lazily conjugated or negated tensors come as they are: PyTorch would resolve them by a copy.
TORCH_LIBRARY_IMPL(aten, Conjugate, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}
TORCH_LIBRARY_IMPL(aten, Negative, library) {
  library.impl("_copy_from", torch::CppFunction::makeFallthrough());
}

}  // namespace
}  // namespace npu::backend

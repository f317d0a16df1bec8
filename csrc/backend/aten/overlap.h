// Results that overlap their sources.
#pragma once

#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>

namespace npu::backend {

// Whether a launch that reads `in` may not write `out`: they share memory, but not as the very same
// view. Program ids run in any order, so such a result has to be built elsewhere first.
inline bool overlaps_otherwise(const at::TensorBase& out, const at::TensorBase& in) {
  if (!out.defined() || !in.defined()) return false;
  if (out.storage().unsafeGetStorageImpl() != in.storage().unsafeGetStorageImpl()) return false;
  const auto status = at::get_overlap_status(out, in);
  return status == at::MemOverlapStatus::Partial || status == at::MemOverlapStatus::TooHard;
}

// Whether they share memory at all: for kernels that read an input more than once.
inline bool overlaps(const at::TensorBase& out, const at::TensorBase& in) {
  if (!out.defined() || !in.defined()) return false;
  if (out.storage().unsafeGetStorageImpl() != in.storage().unsafeGetStorageImpl()) return false;
  return at::get_overlap_status(out, in) != at::MemOverlapStatus::No;
}

}  // namespace npu::backend

// The argument list of a launch, in the order in which the program declared them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "csrc/sdk/runtime/kernel_cache.h"
#include "npu/kernels/tensor.h"
#include "sim/isa/program.h"

namespace npu::kernels {

class Arguments {
 public:
  void pointer(void* value) { list_[count_++] = sdk::arg(value); }
  void integer(int64_t value) { list_[count_++] = sdk::arg(value); }
  void real(double value) { list_[count_++] = sdk::arg(value); }
  // As the program's compute type (i64, or a floating one) wants it.
  void number(const Scalar& value, sim::DType compute) {
    if (sim::is_float(compute)) {
      real(value.real);
    } else {
      integer(value.integer);
    }
  }

  void append(const Arguments& others) {
    std::copy_n(others.list_.begin(), others.count_, list_.begin() + count_);
    count_ += others.count_;
  }

  const npuArg* data() const { return list_.data(); }
  int count() const { return count_; }

 private:
  std::array<npuArg, sim::kMaxArgs> list_;
  int count_ = 0;
};

inline npuStatus launch(npuKernel kernel, int64_t grid, const Arguments& args, npuStream stream) {
  return npuLaunchKernel(kernel, grid, args.data(), args.count(), stream);
}

}  // namespace npu::kernels

// Programs that can be launched.
#pragma once

#include <vector>

#include "csrc/sdk/runtime/handle_pool.h"
#include "sim/isa/program.h"

struct npuKernel_st : npu::sdk::Handle {
  npu::sim::Program program;
};

struct npuModule_st : npu::sdk::Handle {
  std::vector<npuKernel> kernels;
};

namespace npu::sdk {

npuKernel_st* create_kernel(sim::Program program);
// Throws StatusError for a handle that is no live kernel.
npuKernel_st& live_kernel(npuKernel kernel);

}  // namespace npu::sdk

// A representative program of each kernel, for tools that show them: the usual dtype and form. The
// kernel's file defines it, library.cpp lists it.
#pragma once

#include "sim/arch/machine.h"
#include "sim/isa/program.h"

namespace npu::kernels {

sim::Program library_flash_attention(const sim::Machine& machine);
sim::Program library_varlen_attention(const sim::Machine& machine);
sim::Program library_paged_attention(const sim::Machine& machine);
sim::Program library_reshape_and_cache(const sim::Machine& machine);
sim::Program library_rotary_embedding(const sim::Machine& machine);
sim::Program library_gated_activation(const sim::Machine& machine);

}  // namespace npu::kernels

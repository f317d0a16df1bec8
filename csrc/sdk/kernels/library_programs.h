// A representative program of each kernel, for tools that show them: the usual dtype and form. The
// kernel's file defines it, library.cpp lists it.
#pragma once

#include <string_view>
#include <vector>

#include "npu/kernels/elementwise.h"
#include "sim/arch/machine.h"
#include "sim/isa/program.h"

namespace npu::kernels {

sim::Program library_flash_attention(const sim::Machine& machine);
sim::Program library_varlen_attention(const sim::Machine& machine);
sim::Program library_paged_attention(const sim::Machine& machine);
sim::Program library_combine_attention(const sim::Machine& machine);
sim::Program library_grouped_gemm(const sim::Machine& machine);
sim::Program library_reshape_and_cache(const sim::Machine& machine);
sim::Program library_rotary_embedding(const sim::Machine& machine);
sim::Program library_silu_and_mul(const sim::Machine& machine);
sim::Program library_gelu_and_mul(const sim::Machine& machine);
sim::Program library_gelu_tanh_and_mul(const sim::Machine& machine);
sim::Program library_softmax(const sim::Machine& machine);
sim::Program library_log_softmax(const sim::Machine& machine);
sim::Program library_softmax_backward(const sim::Machine& machine);
sim::Program library_log_softmax_backward(const sim::Machine& machine);
sim::Program library_softmax_statistics(const sim::Machine& machine);
sim::Program library_softmax_of_parts(const sim::Machine& machine);
sim::Program library_rms_norm(const sim::Machine& machine);
sim::Program library_fused_add_rms_norm(const sim::Machine& machine);
sim::Program library_layer_norm(const sim::Machine& machine);
sim::Program library_scan(const sim::Machine& machine);
sim::Program library_argmax(const sim::Machine& machine);
sim::Program library_argmin(const sim::Machine& machine);
sim::Program library_fill(const sim::Machine& machine);
sim::Program library_arange(const sim::Machine& machine);
sim::Program library_tril(const sim::Machine& machine);
sim::Program library_triu(const sim::Machine& machine);
sim::Program library_index_select(const sim::Machine& machine);
sim::Program library_gather(const sim::Machine& machine);
sim::Program library_row_gather(const sim::Machine& machine);
sim::Program library_index_get(const sim::Machine& machine);
sim::Program library_scatter(const sim::Machine& machine);
sim::Program library_index_accumulate(const sim::Machine& machine);
sim::Program library_index_put(const sim::Machine& machine);
sim::Program library_nonzero_count(const sim::Machine& machine);
sim::Program library_nonzero(const sim::Machine& machine);
sim::Program library_sort(const sim::Machine& machine);
sim::Program library_sort_merge(const sim::Machine& machine);
sim::Program library_searchsorted(const sim::Machine& machine);

// Families with a program for each name of a table.
sim::Program library_elementwise(const ElementwiseOp& op, const sim::Machine& machine);
std::vector<std::string_view> library_reductions();
sim::Program library_reduction(std::string_view name, const sim::Machine& machine);
std::vector<std::string_view> library_randoms();
sim::Program library_random(std::string_view name, const sim::Machine& machine);

}  // namespace npu::kernels

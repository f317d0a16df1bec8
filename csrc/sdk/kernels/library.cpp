// The list of the library's kernels, for tools.
#include "npu/kernels/library.h"

#include <algorithm>

#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/runtime/status.h"
#include "sim/isa/text.h"

namespace npu::kernels {
namespace {

struct Entry {
  KernelInfo info;
  sim::Program (*build)(const sim::Machine&);
};

sim::Program library_gemm(const sim::Machine& machine) {
  constexpr int64_t kSide = 4096;
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  const MatmulProblem problem = form.problem(1, kSide, kSide, kSide);
  return build_matmul(machine, form, choose_matmul_tiling(machine, problem));
}

// By name.
constexpr Entry kEntries[] = {
    {{"flash_attention", "dense attention with masks, causal, bf16"}, library_flash_attention},
    {{"gemm", "matrix product of two row-major bf16 matrices of 4096 x 4096"}, library_gemm},
    {{"paged_attention", "attention over a paged KV cache, causal, bf16"}, library_paged_attention},
    {{"reshape_and_cache", "writes keys and values to their slots of a paged KV cache"},
     library_reshape_and_cache},
    {{"rotary_embedding", "rotates queries and keys by their positions, in place"},
     library_rotary_embedding},
    {{"silu_and_mul", "silu(x[:, :d]) * x[:, d:], as gated feed-forward layers need it"},
     library_gated_activation},
    {{"varlen_attention", "attention over packed sequences of different lengths, causal, bf16"},
     library_varlen_attention},
};

}  // namespace

std::vector<KernelInfo> library_kernels() {
  std::vector<KernelInfo> list;
  for (const Entry& entry : kEntries) list.push_back(entry.info);
  return list;
}

npuStatus library_kernel_text(std::string_view name, const char* machine, std::string* text) {
  return sdk::guarded([&]() -> npuStatus {
    if (machine == nullptr || text == nullptr) {
      return sdk::fail(NPU_ERROR_INVALID_VALUE, "library_kernel_text: no machine or no text");
    }
    const auto* entry =
        std::ranges::find(kEntries, name, [](const Entry& e) { return e.info.name; });
    if (entry == std::end(kEntries)) {
      return sdk::failf(NPU_ERROR_NOT_FOUND, "the library has no kernel '{}'", name);
    }
    *text = sim::disassemble(entry->build(sim::load_machine(machine)));
    return NPU_SUCCESS;
  });
}

}  // namespace npu::kernels

// The list of the library's kernels, for tools.
#include "npu/kernels/library.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "csrc/sdk/kernels/library_programs.h"
#include "csrc/sdk/kernels/matmul.h"
#include "csrc/sdk/kernels/matmul_tiling.h"
#include "csrc/sdk/runtime/status.h"
#include "sim/isa/text.h"

namespace npu::kernels {
namespace {

struct Entry {
  KernelInfo info;
  sim::Program (*build)(const sim::Machine&);
};

constexpr std::string_view kElementwiseSummary = "element-wise, contiguous f32 (or i64) tensors";
constexpr std::string_view kReductionSummary = "reduction of rows, f32";
constexpr std::string_view kRandomSummary = "counter-based random numbers, f32 (integers: i64)";

sim::Program library_gemm(const sim::Machine& machine) {
  constexpr int64_t kSide = 4096;
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  const MatmulProblem problem = form.problem(1, kSide, kSide, kSide);
  return build_matmul(machine, form, choose_matmul_tiling(machine, problem));
}

constexpr Entry kEntries[] = {
    {{"arange", "start + i * step, f32"}, library_arange},
    {{"argmax", "place of the largest element of long rows, f32"}, library_argmax},
    {{"argmin", "place of the smallest element of long rows, f32"}, library_argmin},
    {{"combine_attention", "joins the partial results of split keys"}, library_combine_attention},
    {{"fill", "one value throughout contiguous memory, f32"}, library_fill},
    {{"flash_attention", "dense attention with masks, causal, bf16"}, library_flash_attention},
    {{"fused_add_rms_norm", "adds to the residual stream, then RMSNorm with weight, bf16"},
     library_fused_add_rms_norm},
    {{"gather", "elements of bf16 rows at i64 indices"}, library_gather},
    {{"gelu_and_mul", "gelu(x[:, :d]) * x[:, d:], bf16"}, library_gelu_and_mul},
    {{"gelu_tanh_and_mul", "the same with gelu's tanh form"}, library_gelu_tanh_and_mul},
    {{"gemm", "matrix product of two row-major bf16 matrices of 4096 x 4096"}, library_gemm},
    {{"grouped_gemm", "products of groups of rows, gathered, with matrices of their own, bf16"},
     library_grouped_gemm},
    {{"index_accumulate", "adds f32 rows to those at i64 indices"}, library_index_accumulate},
    {{"index_get", "bf16 elements at two i64 indices each"}, library_index_get},
    {{"index_put", "writes bf16 rows at two i64 indices each"}, library_index_put},
    {{"index_select", "bf16 rows at i64 indices, as embeddings need them"}, library_index_select},
    {{"layer_norm", "LayerNorm with weight, bias and statistics, bf16"}, library_layer_norm},
    {{"log_softmax", "log_softmax of rows, bf16"}, library_log_softmax},
    {{"log_softmax_backward", "gradient of log_softmax from its result, bf16"},
     library_log_softmax_backward},
    {{"nonzero", "coordinates of what is not zero in a matrix, f32"}, library_nonzero},
    {{"nonzero_count", "how many elements of each part are not zero, f32"}, library_nonzero_count},
    {{"paged_attention", "attention over a paged KV cache, causal, bf16"}, library_paged_attention},
    {{"reshape_and_cache", "writes keys and values to their slots of a paged KV cache"},
     library_reshape_and_cache},
    {{"rms_norm", "RMSNorm with weight, bf16"}, library_rms_norm},
    {{"rotary_embedding", "rotates queries and keys by their positions, in place"},
     library_rotary_embedding},
    {{"row_gather", "elements of bf16 rows, which are loaded whole, at i64 indices"},
     library_row_gather},
    {{"scan", "cumulative sum along long rows, f32"}, library_scan},
    {{"scatter", "writes bf16 elements at i64 indices, in order"}, library_scatter},
    {{"searchsorted", "places of values in sorted rows, f32"}, library_searchsorted},
    {{"silu_and_mul", "silu(x[:, :d]) * x[:, d:], as gated feed-forward layers need it"},
     library_silu_and_mul},
    {{"softmax", "softmax of rows, bf16"}, library_softmax},
    {{"softmax_backward", "gradient of softmax from its result, bf16"}, library_softmax_backward},
    {{"softmax_of_parts", "softmax of long rows from the statistics of their parts, bf16"},
     library_softmax_of_parts},
    {{"softmax_statistics", "maxima and sums of exponentials of parts of long rows, bf16"},
     library_softmax_statistics},
    {{"sort", "sorts rows, or parts of them, with their positions, f32"}, library_sort},
    {{"sort_merge", "merges sorted parts of long rows, f32"}, library_sort_merge},
    {{"tril", "lower triangles of matrices, f32"}, library_tril},
    {{"triu", "upper triangles of matrices, f32"}, library_triu},
    {{"varlen_attention", "attention over packed sequences of different lengths, causal, bf16"},
     library_varlen_attention},
};

// Kernels that a table of their owner's lists, all with one summary.
struct Family {
  std::string_view summary;
  std::vector<std::string_view> (*names)();
  sim::Program (*build)(std::string_view name, const sim::Machine&);
};

sim::Program build_elementwise(std::string_view name, const sim::Machine& machine) {
  return library_elementwise(*find_elementwise(name), machine);
}

constexpr Family kFamilies[] = {
    {kElementwiseSummary, elementwise_names, build_elementwise},
    {kReductionSummary, library_reductions, library_reduction},
    {kRandomSummary, library_randoms, library_random},
};

// The program of a name; throws MachineError for a broken machine file, nothing for unknown names.
std::optional<sim::Program> build(std::string_view name, const sim::Machine& machine) {
  const auto* entry = std::ranges::find(kEntries, name, [](const Entry& e) { return e.info.name; });
  if (entry != std::end(kEntries)) return entry->build(machine);
  for (const Family& family : kFamilies) {
    const auto names = family.names();
    if (std::ranges::find(names, name) != names.end()) return family.build(name, machine);
  }
  return std::nullopt;
}

}  // namespace

std::vector<KernelInfo> library_kernels() {
  std::vector<KernelInfo> list;
  for (const Entry& entry : kEntries) list.push_back(entry.info);
  for (const Family& family : kFamilies) {
    for (std::string_view name : family.names()) list.push_back({name, family.summary});
  }
  std::ranges::sort(list, {}, &KernelInfo::name);
  return list;
}

npuStatus library_kernel_text(std::string_view name, const char* machine, std::string* text) {
  return sdk::guarded([&]() -> npuStatus {
    if (machine == nullptr || text == nullptr) {
      return sdk::fail(NPU_ERROR_INVALID_VALUE, "library_kernel_text: no machine or no text");
    }
    const auto program = build(name, sim::load_machine(machine));
    if (!program) return sdk::failf(NPU_ERROR_NOT_FOUND, "the library has no kernel '{}'", name);
    *text = sim::disassemble(*program);
    return NPU_SUCCESS;
  });
}

}  // namespace npu::kernels

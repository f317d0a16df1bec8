// Schemas of torch.ops.npu. python/npu_torch/ops.py documents shapes, dtypes and errors.
#include <torch/library.h>

namespace npu::backend {

TORCH_LIBRARY(npu, m) {
  m.def("gemm(Tensor a, Tensor b, Tensor? bias=None, str activation='none') -> Tensor");
  m.def(
      "grouped_gemm(Tensor a, Tensor b, Tensor ends, *, Tensor? gather=None, int gather_divisor=1, "
      "Tensor? scatter=None, Tensor? row_scale=None) -> Tensor");
  m.def("rms_norm(Tensor x, Tensor? weight, float eps, *, float weight_offset=0.0) -> Tensor");
  m.def(
      "fused_add_rms_norm(Tensor x, Tensor(a!) residual, Tensor? weight, float eps, *, "
      "float weight_offset=0.0) -> Tensor");
  m.def(
      "rotary_embedding(Tensor positions, Tensor(a!) query, Tensor(b!)? key, int head_size, "
      "Tensor cos_sin_cache, bool is_neox=True) -> ()");
  m.def("silu_and_mul(Tensor x) -> Tensor");
  m.def("gelu_and_mul(Tensor x, str approximate='none') -> Tensor");
  m.def(
      "reshape_and_cache(Tensor key, Tensor value, Tensor(a!) key_cache, Tensor(b!) value_cache, "
      "Tensor slot_mapping, Tensor? k_scale=None, Tensor? v_scale=None) -> ()");
  m.def(
      "flash_attention(Tensor query, Tensor key, Tensor value, Tensor? cu_seqlens_q=None, "
      "Tensor? cu_seqlens_k=None, int? max_query_len=None, *, Tensor? mask=None, "
      "float? scale=None, bool causal=False, int window=0, float soft_cap=0.0, "
      "Tensor? sinks=None) -> Tensor");
  m.def(
      "paged_attention(Tensor query, Tensor key_cache, Tensor value_cache, Tensor block_table, "
      "Tensor cu_seqlens_q, Tensor kv_lens, int max_query_len, *, float? scale=None, "
      "bool causal=True, int window=0, float soft_cap=0.0, Tensor? sinks=None, "
      "Tensor? k_scale=None, Tensor? v_scale=None) -> Tensor");
  m.def(
      "paged_attention.out(Tensor query, Tensor key_cache, Tensor value_cache, "
      "Tensor block_table, Tensor cu_seqlens_q, Tensor kv_lens, int max_query_len, *, "
      "float? scale=None, bool causal=True, int window=0, float soft_cap=0.0, "
      "Tensor? sinks=None, Tensor? k_scale=None, Tensor? v_scale=None, Tensor(a!) out) "
      "-> Tensor(a!)");
}

}  // namespace npu::backend

"""The device's fused operators: documented entry points to `torch.ops.npu`.

They run on "npu" tensors, and on "meta" tensors for shapes alone. Gradients are not implemented:
backward through one raises NotImplementedError. Wrong shapes, devices and mixtures of dtypes raise
RuntimeError, dtypes that an operator does not take TypeError, wrong values ValueError, each with
the values.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gemm(a: Tensor, b: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """`activation(a @ b + bias)` in one launch.

    a: [M, K] or [B, M, K]; b: [K, N] or [B, K, N], of a's dtype, any strides (a transposed weight
    costs nothing). bias: anything that broadcasts to the result, of any dtype. activation: "none",
    "relu", "gelu", "gelu_tanh", "silu", "sigmoid" or "tanh". Products of 16-bit types accumulate in
    float32, those of float32 are true float32; bias and activation are applied before the only
    rounding. Returns [M, N] or [B, M, N] of a's dtype.
    """
    return torch.ops.npu.gemm(a, b, bias, activation)


def grouped_gemm(
    a: Tensor,
    b: Tensor,
    ends: Tensor,
    *,
    gather: Tensor | None = None,
    gather_divisor: int = 1,
    scatter: Tensor | None = None,
    row_scale: Tensor | None = None,
) -> Tensor:
    """Product of each group of rows with the group's own matrix, in one launch.

    a: [T, K]; b: [G, K, N], of a's dtype, any strides. ends: [G] int32 or int64, ascending: group g
    is rows ends[g - 1] to ends[g] of a, the first from 0; rows beyond the last end are neither read
    nor written. With gather [T], row i is row gather[i] // gather_divisor of a instead. With
    scatter [T], its result goes to row scatter[i], and every row of the result should occur once.
    row_scale: [T] float32, a factor for each row of the result, before it is rounded. Indices are
    int32 or int64; one outside its tensor is a device error. Accumulates as gemm does. Returns
    [T, N] of a's dtype. torch.nn.functional.grouped_mm runs on the device, too, with gradients.
    """
    return torch.ops.npu.grouped_gemm(
        a,
        b,
        ends,
        gather=gather,
        gather_divisor=gather_divisor,
        scatter=scatter,
        row_scale=row_scale,
    )


def rms_norm(x: Tensor, weight: Tensor | None, eps: float, *, weight_offset: float = 0.0) -> Tensor:
    """`x * rsqrt(mean(x^2) + eps) * (weight + weight_offset)` over the last dimension.

    x: [..., D], floating; weight: [D] or None, of any floating dtype; weight_offset: 1.0 is Gemma's
    form. Computes in float32 (float64 for float64). Returns a contiguous tensor like x.
    """
    return torch.ops.npu.rms_norm(x, weight, eps, weight_offset=weight_offset)


def fused_add_rms_norm(
    x: Tensor, residual: Tensor, weight: Tensor | None, eps: float, *, weight_offset: float = 0.0
) -> Tensor:
    """`residual += x`, then `rms_norm(residual)`.

    x, residual: [..., D] of one dtype; residual is updated in place and must be viewable as rows.
    Returns the norm, a contiguous tensor like x.
    """
    return torch.ops.npu.fused_add_rms_norm(x, residual, weight, eps, weight_offset=weight_offset)


def rotary_embedding(
    positions: Tensor,
    query: Tensor,
    key: Tensor | None,
    head_size: int,
    cos_sin_cache: Tensor,
    is_neox: bool = True,
) -> None:
    """Rotate queries and keys by their positions, in place.

    positions: [T] int32 or int64; query: [T, H * head_size] or [T, H, head_size], key likewise with
    its own number of heads, or None; last stride 1. cos_sin_cache: [max_position, rotary_dim],
    cosines then sines, rotary_dim even and at most head_size: what lies beyond is left alone.
    is_neox rotates halves, otherwise neighbouring pairs. Computes in float32. A position outside
    the cache is a device error.
    """
    torch.ops.npu.rotary_embedding(positions, query, key, head_size, cos_sin_cache, is_neox)


def silu_and_mul(x: Tensor) -> Tensor:
    """`silu(x[..., :D]) * x[..., D:]` of x [..., 2 D], floating; returns [..., D]."""
    return torch.ops.npu.silu_and_mul(x)


def gelu_and_mul(x: Tensor, approximate: str = "none") -> Tensor:
    """`gelu(x[..., :D]) * x[..., D:]` of x [..., 2 D]; approximate is "none" or "tanh"."""
    return torch.ops.npu.gelu_and_mul(x, approximate)


def reshape_and_cache(
    key: Tensor,
    value: Tensor,
    key_cache: Tensor,
    value_cache: Tensor,
    slot_mapping: Tensor,
    k_scale: Tensor | None = None,
    v_scale: Tensor | None = None,
) -> None:
    """Write the keys and values of T tokens into a paged cache.

    key, value: [>= T, kv_heads, head_dim]; the caches: any strided views [blocks, block_size,
    kv_heads, head_dim] with last stride 1, of any floating dtype (values are converted).
    slot_mapping: [T] int32 or int64, slot = block * block_size + offset; tokens with a negative
    slot are skipped, a slot outside the cache is a device error. The scales are reserved for
    quantised caches: NotImplementedError unless None.
    """
    torch.ops.npu.reshape_and_cache(
        key, value, key_cache, value_cache, slot_mapping, k_scale, v_scale
    )


def flash_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens_q: Tensor | None = None,
    cu_seqlens_k: Tensor | None = None,
    max_query_len: int | None = None,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    causal: bool = False,
    window: int = 0,
    soft_cap: float = 0.0,
    sinks: Tensor | None = None,
) -> Tensor:
    """Attention that never stores its scores.

    Dense: query [B, H, Lq, D], key [B, Hkv, Lk, D], value [B, Hkv, Lk, Dv]; packed sequences, with
    cu_seqlens [N + 1] int32 or int64: query [T, H, D], key [Tkv, Hkv, D], value [Tkv, Hkv, Dv].
    H is a multiple of Hkv; last strides 1. mask (dense form): bool (True may attend) or floating
    (added), broadcastable to [B, H, Lq, Lk]. scale: 1 / sqrt(D) by default. causal: query i sees
    keys up to i + Lk - Lq. window > 0: only the last `window` of them. soft_cap > 0: scores become
    cap * tanh(score / cap). sinks: [H], one more logit in each row's softmax. A row that sees no
    key is 0. Softmax in float32. Returns the shape of query with Dv last.
    """
    return torch.ops.npu.flash_attention(
        query,
        key,
        value,
        cu_seqlens_q,
        cu_seqlens_k,
        max_query_len,
        mask=mask,
        scale=scale,
        causal=causal,
        window=window,
        soft_cap=soft_cap,
        sinks=sinks,
    )


def paged_attention(
    query: Tensor,
    key_cache: Tensor,
    value_cache: Tensor,
    block_table: Tensor,
    cu_seqlens_q: Tensor,
    kv_lens: Tensor,
    max_query_len: int,
    *,
    scale: float | None = None,
    causal: bool = True,
    window: int = 0,
    soft_cap: float = 0.0,
    sinks: Tensor | None = None,
    k_scale: Tensor | None = None,
    v_scale: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Attention of a mixed prefill and decode batch over a paged KV cache.

    query: [T, H, D], the sequences' queries one after the other; caches: any strided views [blocks,
    block_size, kv_heads, D] with last stride 1; block_table: [N, max_blocks], cu_seqlens_q:
    [N + 1], kv_lens: [N] (keys of each sequence, those of the present queries included), int32 or
    int64. max_query_len: at least the longest sequence's queries. The options are those of
    flash_attention; the scales are reserved for quantised caches. Returns `out`, or a new tensor,
    [T, H, D].
    """
    options = {
        "scale": scale,
        "causal": causal,
        "window": window,
        "soft_cap": soft_cap,
        "sinks": sinks,
        "k_scale": k_scale,
        "v_scale": v_scale,
    }
    tensors = (query, key_cache, value_cache, block_table, cu_seqlens_q, kv_lens, max_query_len)
    if out is None:
        return torch.ops.npu.paged_attention(*tensors, **options)
    return torch.ops.npu.paged_attention.out(*tensors, **options, out=out)

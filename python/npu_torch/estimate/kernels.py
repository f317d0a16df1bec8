"""Questions about single kernels of the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from npu_torch.estimate.tensors import Estimator, KvCache, Sequences, kv_cache

Ask = Callable[[], None]


def gemm(e: Estimator, m: int, k: int, n: int, dtype: str) -> Ask:
    """[m, k] @ [k, n], row-major."""
    out, a, b = (e.empty(dtype, sizes) for sizes in ([m, n], [m, k], [k, n]))
    return lambda: e.matmul(out, a, b)


def attention(
    e: Estimator,
    batch: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    tokens: int,
    causal: bool,
    dtype: str,
) -> Ask:
    """Dense attention of [batch, heads, tokens, head_dim] queries to as many keys."""
    q, out = (e.empty(dtype, [batch, heads, tokens, head_dim]) for _ in range(2))
    k, v = (e.empty(dtype, [batch, kv_heads, tokens, head_dim]) for _ in range(2))
    return lambda: e.attention(out, q, k, v, causal)


def paged_attention(
    e: Estimator,
    contexts: Sequence[int],
    heads: int,
    kv_heads: int,
    head_dim: int,
    block: int,
    dtype: str,
    cache: KvCache = kv_cache,
) -> Ask:
    """One new token of each sequence attends to its context, in blocks of a KV cache.

    `cache` lays it out.
    """
    s = Sequences(e, [1] * len(contexts), contexts, block)
    q, out = (e.empty(dtype, [s.tokens, heads, head_dim]) for _ in range(2))
    k_cache, v_cache = cache(e, dtype, s.blocks, block, kv_heads, head_dim)
    return lambda: e.paged_attention(
        out, q, k_cache, v_cache, s.table, s.query_starts, s.kv_lens, s.max_query_len
    )


def rms_norm(e: Estimator, rows: int, cols: int, dtype: str) -> Ask:
    """RMSNorm of rows, with weight."""
    y, x, weight = (e.empty(dtype, sizes) for sizes in ([rows, cols], [rows, cols], [cols]))
    return lambda: e.rms_norm(y, x, weight)


def softmax(e: Estimator, rows: int, cols: int, dtype: str) -> Ask:
    """Softmax along rows."""
    out, x = (e.empty(dtype, [rows, cols]) for _ in range(2))
    return lambda: e.softmax(out, x, 1)


def silu_and_mul(e: Estimator, rows: int, cols: int, dtype: str) -> Ask:
    """silu(x[:, :cols]) * x[:, cols:]."""
    out, x = e.empty(dtype, [rows, cols]), e.empty(dtype, [rows, 2 * cols])
    return lambda: e.silu_and_mul(out, x)


def cast(e: Estimator, count: int, dtype: str) -> Ask:
    """Contiguous elements to f32."""
    dst, src = e.empty("f32", [count]), e.empty(dtype, [count])
    return lambda: e.copy(dst, src)


def copy(e: Estimator, count: int, dtype: str) -> Ask:
    """Contiguous elements to another place."""
    dst, src = (e.empty(dtype, [count]) for _ in range(2))
    return lambda: e.copy(dst, src)

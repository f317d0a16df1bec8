"""Questions about layers and whole steps of language models.

They launch what a model's step launches under vLLM (`npu_torch.integrations.vllm`), in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from npu_torch.estimate.feed_forward import feed_forward
from npu_torch.estimate.models import Model
from npu_torch.estimate.tensors import (
    Estimator,
    Sequences,
    Tensor,
    heads_view,
    linear_weight,
    vllm_kv_cache,
)

Ask = Callable[[], None]


class _Activations:
    """What the layers of a step hand on, and what all of them read."""

    def __init__(self, e: Estimator, model: Model, s: Sequences, dtype: str) -> None:
        def rows(cols: int) -> Tensor:
            return e.empty(dtype, [s.tokens, cols])

        m = model
        queries, keys = m.heads * m.head_dim, m.kv_heads * m.head_dim
        row = queries + 2 * keys
        self.hidden, self.residual = rows(m.hidden), rows(m.hidden)
        self.qkv = rows(row)
        self.projected = (
            heads_view(self.qkv, s.tokens, row, 0, m.heads, m.head_dim),
            heads_view(self.qkv, s.tokens, row, queries, m.kv_heads, m.head_dim),
        )
        self.q, self.k = self.projected
        if m.qk_norm:  # makes them contiguous
            self.q, self.k = (
                e.empty(dtype, [s.tokens, heads, m.head_dim]) for heads in (m.heads, m.kv_heads)
            )
        self.v = heads_view(self.qkv, s.tokens, row, queries + keys, m.kv_heads, m.head_dim)
        self.attended = rows(queries)
        self.heads = heads_view(self.attended, s.tokens, queries, 0, m.heads, m.head_dim)
        self.feed_forward = feed_forward(e, m, s.tokens, dtype)
        self.positions = e.empty("i64", [s.tokens])
        self.cos_sin = e.empty(dtype, [m.positions, m.head_dim])


class _Layer:
    """A decoder layer's weights and its part of the KV cache."""

    def __init__(
        self, e: Estimator, model: Model, s: Sequences, a: _Activations, dtype: str
    ) -> None:
        m = model
        queries, keys = m.heads * m.head_dim, m.kv_heads * m.head_dim
        self.input_norm, self.post_norm = (e.empty(dtype, [m.hidden]) for _ in range(2))
        self.q_norm, self.k_norm = (e.empty(dtype, [m.head_dim]) for _ in range(2))
        self.qkv = linear_weight(e, dtype, m.hidden, queries + 2 * keys)
        self.o = linear_weight(e, dtype, queries, m.hidden)
        self.feed_forward = a.feed_forward.weights()
        self.k_cache, self.v_cache = vllm_kv_cache(
            e, dtype, s.blocks, s.block, m.kv_heads, m.head_dim
        )

    def launch(
        self, e: Estimator, model: Model, s: Sequences, a: _Activations, first: bool
    ) -> None:
        """The layer's launches; the first layer of a step has no residual to add yet."""
        e.step("input_norm")
        if first:
            e.rms_norm(a.hidden, a.residual, self.input_norm)
        else:
            e.fused_add_rms_norm(a.hidden, a.residual, a.hidden, self.input_norm)
        e.step("qkv_proj")
        e.matmul(a.qkv, a.hidden, self.qkv)
        if model.qk_norm:
            e.step("qk_norm")
            for x, projected, weight, heads in (
                (a.q, a.projected[0], self.q_norm, model.heads),
                (a.k, a.projected[1], self.k_norm, model.kv_heads),
            ):
                e.copy(x, projected)
                rows = x.as_strided([s.tokens * heads, model.head_dim], [model.head_dim, 1], 0)
                e.rms_norm(rows, rows, weight)
        e.step("rotary")
        e.rotary_embedding(a.q, a.k, a.positions, a.cos_sin)
        e.step("kv_cache")
        e.reshape_and_cache(self.k_cache, self.v_cache, a.k, a.v, s.slots)
        e.step("attention")
        e.paged_attention(
            a.heads,
            a.q,
            self.k_cache,
            self.v_cache,
            s.table,
            s.query_starts,
            s.kv_lens,
            s.max_query_len,
        )
        e.step("o_proj")
        e.matmul(a.hidden, a.attended, self.o)
        e.step("post_norm")
        e.fused_add_rms_norm(a.hidden, a.residual, a.hidden, self.post_norm)
        a.feed_forward.launch(a.hidden, self.feed_forward)


def layers(
    e: Estimator,
    model: Model,
    query_lens: Sequence[int],
    kv_lens: Sequence[int],
    block: int,
    dtype: str,
    count: int | None = 1,
) -> Ask:
    """`count` decoder layers; None: the whole step, from embedding to logits.

    query_lens, kv_lens: new tokens and keys (the new tokens' included) of each sequence.
    """
    s = Sequences(e, query_lens, kv_lens, block)
    a = _Activations(e, model, s, dtype)
    stack = [_Layer(e, model, s, a, dtype) for _ in range(count or model.layers)]

    def decoder() -> None:
        for i, layer in enumerate(stack):
            layer.launch(e, model, s, a, first=i == 0)

    if count is not None:
        return decoder

    sequences = len(kv_lens)
    embedding = e.empty(dtype, [model.vocabulary, model.hidden])
    tokens, last = e.empty("i64", [s.tokens]), e.empty("i64", [sequences])
    final_norm = e.empty(dtype, [model.hidden])
    lm_head = linear_weight(e, dtype, model.hidden, model.vocabulary)
    sampled = e.empty(dtype, [sequences, model.hidden])
    logits = e.empty(dtype, [sequences, model.vocabulary])

    def step() -> None:
        e.step("embedding")
        e.index_select(a.residual, embedding, 0, tokens)
        decoder()
        e.step("final_norm")
        e.fused_add_rms_norm(a.hidden, a.residual, a.hidden, final_norm)
        e.step("last_tokens")
        e.index_select(sampled, a.hidden, 0, last)
        e.step("lm_head")
        e.matmul(logits, sampled, lm_head)

    return step

"""Attention on torch.ops.npu over SGLang's token pool: extend and decode in one launch."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from sglang.srt.layers.attention.attention_registry import register_attention_backend
from sglang.srt.layers.attention.base_attn_backend import AttentionBackend
from sglang.srt.layers.radix_attention import AttentionType
from sglang.srt.mem_cache.memory_pool import KVWriteLoc
from torch import Tensor

from npu_torch.integrations.sglang.platform import ATTENTION_BACKEND


@dataclasses.dataclass
class NpuAttentionMetadata:
    """One step's requests, on the device."""

    max_query_len: int
    query_start: Tensor  # [requests + 1]
    kv_lens: Tensor  # [requests]
    block_table: Tensor  # [requests, pages] int32


class NpuAttentionBackend(AttentionBackend):
    """Attention of all layers of a model."""

    def __init__(self, model_runner: Any) -> None:
        super().__init__()
        self.page_size = model_runner.page_size
        self.token_to_kv_pool = model_runner.token_to_kv_pool
        self.req_to_token_pool = model_runner.req_to_token_pool
        self.forward_metadata: NpuAttentionMetadata | None = None

    def support_triton(self) -> bool:
        """No: nothing here compiles Triton."""
        return False

    def init_forward_metadata(self, forward_batch: Any) -> None:
        """Prepare one step: where each request's queries and pages are."""
        batch = forward_batch
        if batch.forward_mode.is_decode_or_idle():
            query_lens = [1] * batch.batch_size
        else:
            query_lens = list(batch.extend_seq_lens_cpu)
        starts = [0]
        for length in query_lens:
            starts.append(starts[-1] + length)
        device = batch.seq_lens.device
        longest = int(batch.seq_lens_cpu.max()) if batch.batch_size else 0
        slots = self.req_to_token_pool.req_to_token[:, : longest : self.page_size]
        table = slots.index_select(0, batch.req_pool_indices)
        if self.page_size > 1:
            table = torch.div(table, self.page_size, rounding_mode="floor")
        self.forward_metadata = NpuAttentionMetadata(
            max(query_lens, default=0),
            torch.tensor(starts, dtype=torch.int32).to(device, non_blocking=True),
            batch.seq_lens,
            table,
        )

    def get_cuda_graph_seq_len_fill_value(self) -> int:
        """Length of a padded sequence."""
        return 1

    def _pages(self, layer_id: int) -> tuple[Tensor, Tensor]:
        """Keys and values, [pages, page_size, kv_heads, head_dim] each, as views."""
        return self.token_to_kv_pool.get_paged_buffers(layer_id)

    def _attend(
        self,
        q: Tensor,
        k: Tensor | None,
        v: Tensor | None,
        layer: Any,
        forward_batch: Any,
        save_kv_cache: bool = True,
        sinks: Tensor | None = None,
        **extra: Any,
    ) -> Tensor:
        """q [tokens, heads * head_dim] or alike; returns [tokens, heads * v_head_dim]."""
        if extra:
            raise NotImplementedError(f"attention with {', '.join(extra)} on the npu")
        if layer.is_cross_attention:
            raise NotImplementedError("cross attention on the npu")
        meta = self.forward_metadata
        assert meta is not None
        query = q.view(-1, layer.tp_q_head_num, layer.qk_head_dim)
        options = {
            "scale": layer.scaling,
            "soft_cap": layer.logit_cap or 0.0,
            # SGLang counts the tokens before the present one, the kernel that one, too.
            "window": layer.sliding_window_size + 1 if layer.sliding_window_size > 0 else 0,
            "sinks": sinks,
        }
        if layer.attn_type == AttentionType.ENCODER_ONLY:
            output = torch.ops.npu.flash_attention(
                query,
                k,
                v,
                meta.query_start,
                meta.query_start,
                meta.max_query_len,
                causal=False,
                **options,
            )
            return output.view(-1, layer.tp_q_head_num * layer.v_head_dim)
        if k is not None and save_kv_cache:
            location = KVWriteLoc(forward_batch.out_cache_loc, None)
            self.token_to_kv_pool.set_kv_buffer(layer, location, k, v)
        output = torch.ops.npu.paged_attention(
            query,
            *self._pages(layer.layer_id),
            meta.block_table,
            meta.query_start,
            meta.kv_lens,
            meta.max_query_len,
            causal=layer.attn_type != AttentionType.DECODER_BIDIRECTIONAL,
            **options,
        )
        return output.view(-1, layer.tp_q_head_num * layer.v_head_dim)

    forward_extend = _attend
    forward_decode = _attend


def register() -> None:
    """Let SGLang find the backend by its name."""
    register_attention_backend(ATTENTION_BACKEND)(NpuAttentionBackend)

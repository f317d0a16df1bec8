"""Attention on torch.ops.npu: a paged KV cache, mixed prefill and decode in one launch."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import torch
from torch import Tensor
from vllm.v1.attention.backend import (
    AttentionBackend,
    AttentionImpl,
    AttentionMetadataBuilder,
    AttentionType,
    MultipleOf,
)
from vllm.v1.kv_cache_interface import KVCacheLayout


class NpuAttentionBackend(AttentionBackend):
    """What vLLM may ask of the attention kernels."""

    supported_dtypes: ClassVar[list[torch.dtype]] = [
        torch.float16,
        torch.bfloat16,
        torch.float32,
    ]
    supported_kv_cache_dtypes: ClassVar[list[str]] = ["auto", "float16", "bfloat16"]
    forward_includes_kv_cache_update = False

    @staticmethod
    def get_name() -> str:
        """Name of the backend in vLLM's registry."""
        return "CUSTOM"

    @staticmethod
    def get_impl_cls() -> type[NpuAttentionImpl]:
        """Class of a layer's attention."""
        return NpuAttentionImpl

    @staticmethod
    def get_builder_cls() -> type[NpuAttentionMetadataBuilder]:
        """Class that prepares a step's metadata."""
        return NpuAttentionMetadataBuilder

    @staticmethod
    def get_supported_kernel_block_sizes(kv_cache_spec: Any = None) -> list[Any]:
        """Tokens of a page: any number that vLLM offers."""
        return [MultipleOf(8)]

    @classmethod
    def supported_kv_cache_layouts(cls) -> tuple[Any, ...]:
        """[blocks, kv_heads, block_size, 2 * head_dim] for each layer."""
        return (KVCacheLayout.LBHNC,)

    @classmethod
    def supports_sliding_window(cls) -> bool:
        """Yes."""
        return True

    @classmethod
    def supports_sink(cls) -> bool:
        """Yes."""
        return True

    @classmethod
    def supports_attn_type(cls, attn_type: str) -> bool:
        """Decoders, and encoders that attend within the step's own tokens."""
        return attn_type in (AttentionType.DECODER, AttentionType.ENCODER_ONLY)


@dataclasses.dataclass
class NpuAttentionMetadata:
    """One step's requests, on the device."""

    num_tokens: int
    max_query_len: int
    max_kv_len: int  # of any request, at most
    query_start: Tensor  # [requests + 1] int32
    kv_lens: Tensor  # [requests] int32
    block_table: Tensor  # [requests, blocks] int32
    slot_mapping: Tensor
    causal: bool


class NpuAttentionMetadataBuilder(AttentionMetadataBuilder[NpuAttentionMetadata]):
    """Takes from vLLM's metadata what the kernels need; launches nothing."""

    def __init__(
        self, kv_cache_spec: Any, layer_names: list[str], vllm_config: Any, device: torch.device
    ) -> None:
        super().__init__(kv_cache_spec, layer_names, vllm_config, device)

    def build(
        self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False
    ) -> NpuAttentionMetadata:
        """Metadata of one step for the layers of one KV cache group."""
        m = common_attn_metadata
        if not isinstance(m.causal, bool):
            raise NotImplementedError("causal and bidirectional requests in one step on the npu")
        return NpuAttentionMetadata(
            m.num_actual_tokens,
            m.max_query_len,
            m.max_seq_len,
            m.query_start_loc,
            m.seq_lens,
            m.block_table_tensor,
            m.slot_mapping,
            m.causal,
        )


class NpuAttentionImpl(AttentionImpl[NpuAttentionMetadata]):
    """Attention of one layer."""

    def __init__(
        self,
        num_heads: int,
        head_size: int,
        scale: float,
        num_kv_heads: int | None = None,
        alibi_slopes: list[float] | None = None,
        sliding_window: int | None = None,
        kv_cache_dtype: str = "auto",
        logits_soft_cap: float | None = None,
        attn_type: str = AttentionType.DECODER,
        kv_sharing_target_layer_name: str | None = None,
        sinks: Tensor | None = None,
        **extra: Any,
    ) -> None:
        if alibi_slopes is not None:
            raise NotImplementedError("ALiBi slopes on the npu")
        if extra:
            raise NotImplementedError(f"attention with {', '.join(extra)} on the npu")
        if attn_type == AttentionType.ENCODER_ONLY and sliding_window:
            raise NotImplementedError("an encoder's two-sided sliding window on the npu")
        self.num_heads = num_heads
        self.head_size = head_size
        self.scale = scale
        self.num_kv_heads = num_kv_heads or num_heads
        self.kv_cache_dtype = kv_cache_dtype
        self.attn_type = attn_type
        self.kv_sharing_target_layer_name = kv_sharing_target_layer_name
        self.window = sliding_window or 0
        self.soft_cap = logits_soft_cap or 0.0
        self.sinks = sinks

    def _caches(self, kv_cache: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, [blocks, block_size, kv_heads, head_dim] each, as views."""
        pages = kv_cache.transpose(1, 2)
        return pages[..., : self.head_size], pages[..., self.head_size :]

    def do_kv_cache_update(
        self, layer: Any, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write the step's keys and values into the cache; padding has slot -1."""
        if self.attn_type == AttentionType.ENCODER_ONLY:
            return
        torch.ops.npu.reshape_and_cache(key, value, *self._caches(kv_cache), slot_mapping)

    def forward(
        self,
        layer: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        kv_cache: Tensor,
        attn_metadata: NpuAttentionMetadata | None,
        output: Tensor,
        output_scale: Tensor | None = None,
        output_block_scale: Tensor | None = None,
    ) -> Tensor:
        """query [tokens, heads, head_dim]; writes output [tokens, heads * head_dim] or alike."""
        if output_scale is not None or output_block_scale is not None:
            raise NotImplementedError("quantised attention output on the npu")
        m = attn_metadata
        if m is None:  # a profiling run has no requests
            return output.zero_()
        n = m.num_tokens
        out = output[:n].view(n, self.num_heads, self.head_size)
        if self.attn_type == AttentionType.ENCODER_ONLY:
            result = torch.ops.npu.flash_attention(
                query[:n],
                key[:n],
                value[:n],
                m.query_start,
                m.query_start,
                m.max_query_len,
                scale=self.scale,
                causal=m.causal,
                soft_cap=self.soft_cap,
                sinks=self.sinks,
            )
            out.copy_(result)
            return output
        keys, values = self._caches(kv_cache)
        # The table has room for the longest request that the model allows. What the step's requests
        # need of it tells the kernel how long they may be.
        blocks = -(-m.max_kv_len // keys.shape[1])
        torch.ops.npu.paged_attention.out(
            query[:n],
            keys,
            values,
            m.block_table[:, :blocks],
            m.query_start,
            m.kv_lens,
            m.max_query_len,
            scale=self.scale,
            causal=m.causal,
            window=self.window,
            soft_cap=self.soft_cap,
            sinks=self.sinks,
            out=out,
        )
        return output

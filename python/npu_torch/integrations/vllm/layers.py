"""vLLM's custom operators on the device's fused kernels."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from vllm.model_executor.custom_op import CustomOp
from vllm.model_executor.layers.activation import GeluAndMul, SiluAndMul
from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import (
    UnquantizedFusedMoEMethod,
)
from vllm.model_executor.layers.layernorm import GemmaRMSNorm, RMSNorm
from vllm.model_executor.layers.rotary_embedding.base import RotaryEmbedding
from vllm.model_executor.layers.rotary_embedding.llama3_rope import Llama3RotaryEmbedding

from npu_torch.integrations import norms
from npu_torch.integrations.vllm.moe import NpuUnquantizedFusedMoEMethod


class NpuRMSNorm(RMSNorm):
    """RMS norm, the residual's sum included, in one launch."""

    def forward_oot(
        self, x: Tensor, residual: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x [..., D]; residual, if given, is updated in place and returned, too."""
        if self.variance_size_override is not None:
            return self.forward_native(x, residual)
        weight = self.weight.data if self.has_weight else None
        return norms.rms_norm(x, residual, weight, self.variance_epsilon, 0.0)


class NpuGemmaRMSNorm(GemmaRMSNorm):
    """Gemma's RMS norm, whose weight counts from 1."""

    def forward_oot(
        self, x: Tensor, residual: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x [..., D]; residual, if given, is updated in place and returned, too."""
        return norms.rms_norm(x, residual, self.weight.data, self.variance_epsilon, 1.0)


class NpuSiluAndMul(SiluAndMul):
    """silu(gate) * up in one launch."""

    def forward_oot(self, x: Tensor) -> Tensor:
        """x [..., 2 D], gate first; returns [..., D]."""
        return torch.ops.npu.silu_and_mul(x)


class NpuGeluAndMul(GeluAndMul):
    """gelu(gate) * up in one launch."""

    def forward_oot(self, x: Tensor) -> Tensor:
        """x [..., 2 D], gate first; returns [..., D]."""
        return torch.ops.npu.gelu_and_mul(x, self.approximate)


def _rotated(
    self: RotaryEmbedding, positions: Tensor, query: Tensor, key: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Rotate query and key [tokens, heads * head_size] in place, in one launch."""
    torch.ops.npu.rotary_embedding(
        positions,
        query,
        key,
        self.head_size,
        self._match_cos_sin_cache_dtype(query),
        self.is_neox_style,
    )
    return query, key


class NpuRotaryEmbedding(RotaryEmbedding):
    """Rotary positions in one launch."""

    forward_oot = _rotated


class NpuLlama3RotaryEmbedding(Llama3RotaryEmbedding):
    """Rotary positions with Llama 3's frequencies, in one launch."""

    forward_oot = _rotated


# By the class that each replaces: CustomOp goes by the name of the class that a model asks for.
_REPLACEMENTS = {
    RMSNorm: NpuRMSNorm,
    GemmaRMSNorm: NpuGemmaRMSNorm,
    SiluAndMul: NpuSiluAndMul,
    GeluAndMul: NpuGeluAndMul,
    RotaryEmbedding: NpuRotaryEmbedding,
    Llama3RotaryEmbedding: NpuLlama3RotaryEmbedding,
    UnquantizedFusedMoEMethod: NpuUnquantizedFusedMoEMethod,
}


@functools.cache
def register() -> None:
    """Let models that are built from now on use these layers."""
    for original, replacement in _REPLACEMENTS.items():
        CustomOp.register_oot(_decorated_op_cls=replacement, name=original.__name__)

"""Forwards of SGLang's fused operators on the device's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sglang.kernels.fused_op import BaseFusedOp
from sglang.srt.layers.activation import GeluAndMul, SiluAndMul
from sglang.srt.layers.layernorm import Gemma3RMSNorm, GemmaRMSNorm, RMSNorm
from sglang.srt.layers.moe.topk import TopK
from sglang.srt.layers.quantization.unquant import UnquantizedFusedMoEMethod
from sglang.srt.layers.rotary_embedding.base import RotaryEmbedding
from sglang.srt.layers.rotary_embedding.utils import apply_rotary_pos_emb_native_eager
from torch import Tensor

from npu_torch.integrations import norms
from npu_torch.integrations.sglang.moe import choose_experts, run_experts
from npu_torch.integrations.sglang.platform import DISPATCH_KEY


def _rms_norm(
    self: RMSNorm,
    x: Tensor,
    residual: Tensor | None = None,
    post_residual_addition: Tensor | None = None,
    quant_linear: Any = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """x [..., D]; residual, if given, is updated in place and returned, too."""
    if (
        self.variance_size_override is not None
        or post_residual_addition is not None
        or self.fp32_residual
        or self.override_orig_dtype is not None
        or (self.cast_x_before_out_mul and x.dtype != torch.float32)
    ):
        return self.forward_native(x, residual, post_residual_addition)
    weight = self.weight.data if self.has_weight else None
    return norms.rms_norm(x, residual, weight, self.variance_epsilon, 0.0)


def _gemma_rms_norm(
    self: GemmaRMSNorm,
    x: Tensor,
    residual: Tensor | None = None,
    post_residual_addition: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """RMS norm whose weight counts from 1."""
    if post_residual_addition is not None:
        return self.forward_native(x, residual, post_residual_addition)
    return norms.rms_norm(x, residual, self.weight.data, self.variance_epsilon, 1.0)


def _gemma3_rms_norm(
    self: Gemma3RMSNorm, x: Tensor, residual: Tensor | None = None
) -> Tensor | tuple[Tensor, Tensor]:
    """RMS norm whose weight counts from 1."""
    return norms.rms_norm(x, residual, self.weight.data, self.eps, 1.0)


def _silu_and_mul(self: SiluAndMul, x: Tensor) -> Tensor:
    """x [..., 2 D], gate first; returns [..., D]."""
    return torch.ops.npu.silu_and_mul(x)


def _gelu_and_mul(self: GeluAndMul, x: Tensor) -> Tensor:
    """x [..., 2 D], gate first; returns [..., D]."""
    return torch.ops.npu.gelu_and_mul(x, self.approximate)


def _rotary(
    self: RotaryEmbedding,
    positions: Tensor,
    query: Tensor,
    key: Tensor,
    offsets: Tensor | None = None,
    fused_set_kv_buffer_arg: Any = None,
) -> tuple[Tensor, Tensor]:
    """Rotate query and key [tokens, heads * head_size] or alike in place, in one launch."""
    if fused_set_kv_buffer_arg is not None:
        raise NotImplementedError("rotary positions fused with the KV cache on the npu")
    if offsets is not None:
        positions = positions + offsets
    torch.ops.npu.rotary_embedding(
        positions.flatten(), query, key, self.head_size, self.cos_sin_cache, self.is_neox_style
    )
    return query, key


def rotate_heads(
    q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1
) -> tuple[Tensor, Tensor]:
    """Rotate q and k [1, heads, tokens, head_size] by cos and sin [1, tokens, head_size].

    In place, in one launch beside those that arrange the table; other shapes go SGLang's way.
    """
    if q.dim() != 4 or q.shape[0] != 1 or unsqueeze_dim != 1 or q.shape[-1] != cos.shape[-1]:
        return apply_rotary_pos_emb_native_eager(q, k, cos, sin, unsqueeze_dim)
    half = q.shape[-1] // 2  # each angle stands there twice
    table = torch.cat((cos[0, :, :half], sin[0, :, :half]), -1)
    rows = torch.arange(table.shape[0], dtype=torch.int32, device=q.device)
    heads = (x.squeeze(0).transpose(0, 1) for x in (q, k))
    torch.ops.npu.rotary_embedding(rows, *heads, q.shape[-1], table, True)
    return q, k


_FORWARDS: dict[type, Callable[..., Any]] = {
    RMSNorm: _rms_norm,
    GemmaRMSNorm: _gemma_rms_norm,
    Gemma3RMSNorm: _gemma3_rms_norm,
    SiluAndMul: _silu_and_mul,
    GeluAndMul: _gelu_and_mul,
    RotaryEmbedding: _rotary,
    TopK: choose_experts,
    UnquantizedFusedMoEMethod: run_experts,
}


def register() -> None:
    """Let the operators dispatch to these forwards."""
    for operator, forward in _FORWARDS.items():
        BaseFusedOp.register_oot_forward(operator, forward, DISPATCH_KEY)

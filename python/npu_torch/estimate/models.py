"""Shapes of language models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A decoder with grouped-query attention and a gated feed-forward layer, or experts."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int  # of the feed-forward layer, or of each expert
    vocabulary: int
    positions: int  # of the rotary table
    qk_norm: bool = False  # queries and keys are normalised, head by head
    experts: int = 0  # 0: no mixture of experts
    experts_per_token: int = 0


# From the models' published configurations.
MODELS = {
    "llama-3-8b": Model(32, 4096, 32, 8, 128, 14336, 128256, 8192),
    "llama-3-70b": Model(80, 8192, 64, 8, 128, 28672, 128256, 8192),
    "llama-3.2-1b": Model(16, 2048, 32, 8, 64, 8192, 128256, 131072),
    "qwen3-8b": Model(36, 4096, 32, 8, 128, 12288, 151936, 40960, qk_norm=True),
    "mixtral-8x7b": Model(32, 4096, 32, 8, 128, 14336, 32000, 32768, False, 8, 2),
    "qwen3-30b-a3b": Model(48, 2048, 32, 4, 128, 768, 151936, 40960, True, 128, 8),
}

"""Plain PyTorch on the CPU, in double precision, of what the fused ops compute."""

import math

import torch
from torch import Tensor

TOLERANCES = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.2e-2}


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """Compare a device tensor with the double precision result of its inputs."""
    assert actual.device.type == "npu"
    tolerance = TOLERANCES[actual.dtype]
    torch.testing.assert_close(
        actual.cpu().double(), expected.double(), rtol=tolerance, atol=tolerance
    )


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    causal: bool = False,
    window: int = 0,
    soft_cap: float = 0.0,
    sinks: Tensor | None = None,
) -> Tensor:
    """One sequence: query [Lq, H, D], key [Lk, Hkv, D], value [Lk, Hkv, Dv], mask [H, Lq, Lk]."""
    queries, heads, dim = query.shape
    keys, kv_heads, _ = key.shape
    query, key, value = query.double(), key.double(), value.double()
    key = key.repeat_interleave(heads // kv_heads, 1)
    value = value.repeat_interleave(heads // kv_heads, 1)
    scale = 1 / math.sqrt(dim) if scale is None else scale
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    if soft_cap > 0:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    if mask is not None and mask.dtype != torch.bool:
        scores = scores + mask.double()
    last = torch.arange(queries)[:, None] + (keys - queries if causal else keys)
    places = torch.arange(keys)[None, :]
    seen = places <= last
    if window > 0:
        seen &= places > (last if causal else torch.full_like(last, keys - 1)) - window
    if mask is not None and mask.dtype == torch.bool:
        seen = seen & mask
    scores = scores.masked_fill(~seen, -math.inf)
    if sinks is not None:
        column = sinks.double()[:, None, None].expand(heads, queries, 1)
        scores = torch.cat([scores, column], -1)
    weights = torch.softmax(scores, -1).nan_to_num(0)[..., :keys]
    return torch.einsum("hqk,khd->qhd", weights, value)

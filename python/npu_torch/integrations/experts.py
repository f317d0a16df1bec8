"""Mixture of experts: the router's choice and the experts, for every serving engine."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from npu_torch.ops import grouped_gemm


def route(
    logits: Tensor, k: int, renormalize: bool, out: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Weights [tokens, k] float32 and ids [tokens, k] int64 of the experts with the best logits.

    logits [tokens, experts]. The weights are softmax probabilities; renormalize divides the chosen
    ones by their sum. out: where to write both.
    """
    logits = logits.float()
    if out is None:
        shape = (logits.shape[0], k)
        out = (logits.new_empty(shape), logits.new_empty(shape, dtype=torch.int64))
    weights, ids = out
    if renormalize:  # the softmax of the chosen logits
        values = torch.empty_like(weights)
        torch.topk(logits, k, out=(values, ids))
        torch.softmax(values, -1, out=weights)
    else:
        torch.topk(torch.softmax(logits, -1), k, out=(weights, ids))
    return weights, ids


@functools.cache  # a launch less for every layer of every step
def _following(experts: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.arange(1, experts + 1, dtype=dtype, device=device)


def mixture(
    x: Tensor,
    w13: Tensor,
    w2: Tensor,
    topk_weights: Tensor,
    topk_ids: Tensor,
    gated: Callable[[Tensor], Tensor],
) -> Tensor:
    """Sum of the chosen experts' outputs, weighted; [tokens, hidden].

    x [tokens, hidden]; w13 [experts, 2 * width, hidden], gate first; w2 [experts, hidden, width];
    topk_weights and topk_ids [tokens, k]; gated: the activation, [..., 2 * width] to [..., width].

    Every expert computes the tokens that chose it, and the weights of those that nobody chose are
    not read. The host need not know who chose whom.
    """
    tokens, k = topk_ids.shape
    ids, order = torch.sort(topk_ids.reshape(-1), stable=True)
    ends = torch.searchsorted(ids, _following(w13.shape[0], ids.dtype, ids.device))
    up = grouped_gemm(x, w13.transpose(1, 2), ends, gather=order, gather_divisor=k)
    down = grouped_gemm(
        gated(up),
        w2.transpose(1, 2),
        ends,
        scatter=order,
        row_scale=topk_weights.reshape(-1).float(),
    )
    return down.view(tokens, k, -1).sum(1)

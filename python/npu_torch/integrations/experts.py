"""Mixture of experts: the router's choice and the experts, for every serving engine."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Bounds what one pass over all experts takes in memory, in elements of its widest intermediate.
_PASS_ELEMENTS = 1 << 26


def route(logits: Tensor, k: int, renormalize: bool) -> tuple[Tensor, Tensor]:
    """Weights [tokens, k] float32 and ids [tokens, k] int64 of the experts with the best logits.

    logits [tokens, experts]. The weights are softmax probabilities; renormalize divides the chosen
    ones by their sum.
    """
    logits = logits.float()
    if renormalize:  # the softmax of the chosen logits
        values, ids = torch.topk(logits, k)
        return torch.softmax(values, -1), ids
    values, ids = torch.topk(torch.softmax(logits, -1), k)
    return values, ids


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

    Every expert computes every token; the weights of those not chosen are zero. That costs
    experts / k times the arithmetic, but only five launches.
    """
    experts, width, _ = w13.shape
    weights = torch.zeros((x.shape[0], experts), dtype=x.dtype, device=x.device)
    weights.scatter_(1, topk_ids.long(), topk_weights.to(x.dtype))
    rows = max(1, _PASS_ELEMENTS // (experts * width))
    results = []
    for tokens, chosen in zip(x.split(rows), weights.split(rows), strict=True):
        up = torch.bmm(tokens.expand(experts, -1, -1), w13.transpose(1, 2))
        down = torch.bmm(gated(up), w2.transpose(1, 2))
        # [tokens, 1, experts] @ [tokens, experts, hidden]
        results.append(torch.bmm(chosen.unsqueeze(1), down.transpose(0, 1)).squeeze(1))
    return results[0] if len(results) == 1 else torch.cat(results)

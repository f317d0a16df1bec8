"""Mixture of experts: the router's choice and the experts, for every serving engine."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Bounds what one pass over all experts takes in memory, in elements of its widest intermediate.
_PASS_ELEMENTS = 1 << 26

# Copying an expert's weights and reading the copy takes about as long as reading so many in place:
# measured on machine n1, from 8 experts of 1,024 x 1,024 to 64 of 512 x 512.
_COPY_COST = 4


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

    With few tokens, the chosen experts' weights are copied together, so that no others are read.
    With more, every expert computes every token, and the weights of those not chosen are zero: that
    costs experts / k times the arithmetic. Either takes a handful of launches, and the host need
    not know who chose whom.
    """
    experts, width, _ = w13.shape
    if _COPY_COST * topk_ids.numel() <= experts:
        return _chosen_experts(x, w13, w2, topk_weights, topk_ids, gated)
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


def _chosen_experts(
    x: Tensor,
    w13: Tensor,
    w2: Tensor,
    topk_weights: Tensor,
    topk_ids: Tensor,
    gated: Callable[[Tensor], Tensor],
) -> Tensor:
    tokens, k = topk_ids.shape
    ids = topk_ids.reshape(-1)
    rows = x.unsqueeze(1).expand(-1, k, -1).reshape(tokens * k, 1, -1)
    up = torch.bmm(rows, w13.index_select(0, ids).transpose(1, 2))
    down = torch.bmm(gated(up), w2.index_select(0, ids).transpose(1, 2))
    return torch.bmm(topk_weights.to(x.dtype).unsqueeze(1), down.view(tokens, k, -1)).squeeze(1)

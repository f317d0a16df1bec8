"""Mixture of experts: the router's choice and the experts, for every serving engine."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

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


# By the experts' weights, with which it goes: 1, 2, ..., experts.
_following: MutableMapping[Tensor, Tensor] = WeakTensorKeyDictionary()


def _ends(ids: Tensor, weights: Tensor) -> Tensor:
    """Where each expert's tokens end among ascending ids."""
    following = _following.get(weights)
    if following is None or following.dtype != ids.dtype:
        # Copied from the host, it is there before any stream goes on; and kept, since a launch for
        # every layer of every step costs time.
        following = torch.arange(1, weights.shape[0] + 1, dtype=ids.dtype).to(weights.device)
        _following[weights] = following
    return torch.searchsorted(ids, following)


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
    topk_weights and topk_ids [tokens, k], ids from 0 to experts - 1, which nothing checks; gated:
    the activation, [..., 2 * width] to [..., width].

    Every expert computes the tokens that chose it, and the weights of those that nobody chose are
    not read. The host need not know who chose whom.
    """
    tokens, k = topk_ids.shape
    ids, order = torch.sort(topk_ids.reshape(-1), stable=True)
    ends = _ends(ids, w13)
    up = grouped_gemm(x, w13.transpose(1, 2), ends, gather=order, gather_divisor=k)
    down = grouped_gemm(
        gated(up),
        w2.transpose(1, 2),
        ends,
        scatter=order,
        row_scale=topk_weights.reshape(-1).float(),
    )
    return down.view(tokens, k, w2.shape[1]).sum(1)

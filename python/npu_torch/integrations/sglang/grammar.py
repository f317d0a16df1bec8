"""Structured output: the grammars' bitmask on the device."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def apply_token_bitmask(logits: Tensor, bitmask: Tensor) -> None:
    """Set the logits of forbidden tokens to -inf.

    logits [requests, vocab]; bitmask [requests, ceil(vocab / 32)] int32, where bit i % 32 of word
    i // 32 allows token i.
    """
    bits = torch.arange(32, dtype=torch.int32, device=logits.device)
    allowed = (bitmask.unsqueeze(-1) >> bits) & 1
    forbidden = allowed.view(bitmask.shape[0], -1)[:, : logits.shape[1]] == 0
    logits[: bitmask.shape[0]].masked_fill_(forbidden, float("-inf"))


@functools.cache
def register() -> torch.library.Library:
    """Provide `npu::apply_token_bitmask`, which SGLang calls for a device of this name."""
    library = torch.library.Library("npu", "FRAGMENT")
    library.define("apply_token_bitmask(Tensor(a!) logits, Tensor bitmask) -> ()")
    library.impl("apply_token_bitmask", apply_token_bitmask, "PrivateUse1")
    return library

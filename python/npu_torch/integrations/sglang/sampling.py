"""Replacements, in tensor operations, of what SGLang's sampling writes in Triton or compiles."""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def _mixed(h: Tensor | int, k: Tensor) -> Tensor:
    """One block of MurmurHash3 on 32-bit words, which int64 tensors hold: products may wrap."""
    k = (k * 0xCC9E2D51) & _MASK
    k = ((k << 15) | (k >> 17)) & _MASK
    h = h ^ ((k * 0x1B873593) & _MASK)
    h = ((h << 13) | (h >> 19)) & _MASK
    return (h * 5 + 0xE6546B64) & _MASK


def murmur_hash32(seed: Tensor, positions: Tensor, columns: Tensor) -> Tensor:
    """MurmurHash3 of the 16 bytes (seed, position, column), [rows, columns] int64 below 2**32.

    seed and positions [rows], columns [columns], integers.
    """
    seed, positions = seed.to(torch.int64), positions.to(torch.int64)
    h = _mixed(0, seed & _MASK)
    h = _mixed(h, (seed >> 32) & _MASK)
    h = _mixed(h, positions & _MASK)
    h = _mixed(h.unsqueeze(1), columns.to(torch.int64).unsqueeze(0) & _MASK)
    h = h ^ 16
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _MASK
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _MASK
    return h ^ (h >> 16)


def multinomial_with_seed(logprobs: Tensor, seed: Tensor, positions: Tensor) -> Tensor:
    """Draw one of each row's columns, [rows, 1], by noise that seed and position determine.

    logprobs [rows, columns]; seed and positions [rows].
    """
    columns = torch.arange(logprobs.shape[1], device=logprobs.device)
    uniform = murmur_hash32(seed, positions, columns).to(torch.float64) / _MASK
    # Gumbel noise, -log(-log(uniform)); the bounds keep both logarithms finite.
    tiny = torch.finfo(torch.float64).tiny
    exponential = uniform.clamp_(min=tiny).log_().neg_().clamp_(min=2.0**-32)
    noise = exponential.log_().neg_()
    return (noise + logprobs).argmax(-1, keepdim=True)


def apply_scaling_penalties(logits: Tensor, penalties: Tensor) -> None:
    """Scale logits [requests, vocab] towards smaller probabilities, in place."""
    torch.where(logits < 0, logits * penalties, logits / penalties, out=logits)

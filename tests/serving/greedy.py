"""Greedy tokens of an engine against transformers on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

# A token may differ where the CPU's own margin between the two is below this part of the range.
MARGIN = 1e-5


def compare_greedy(model, pairs: Iterable[tuple[Sequence[int], Sequence[int]]]) -> int:
    """Compare greedy outputs with `model`'s choice at each position.

    pairs: the tokens of each prompt and of its output. The reference is teacher-forced: one pass
    over prompt and output gives the CPU's choice at every position up to the first difference.
    Returns how many prompts ended in an allowed near-tie.
    """
    pairs = [(list(prompt), list(tokens)) for prompt, tokens in pairs]
    ties = 0
    for prompt, tokens in pairs:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        wanted = logits.argmax(-1).tolist()
        if wanted == tokens:
            continue
        at = next(i for i, (a, b) in enumerate(zip(wanted, tokens, strict=True)) if a != b)
        row = logits[at]
        margin = (row[wanted[at]] - row[tokens[at]]) / (row.max() - row.min())
        assert margin < MARGIN, f"token {at} after {prompt}: margin {margin:.2e}"
        ties += 1
    if ties:
        print(f"{ties} of {len(pairs)} prompts end in a near-tie")
    return ties

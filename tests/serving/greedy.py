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


# How far below the best logit a bfloat16 model's choices may be, in parts of the range.
BFLOAT16_MARGIN = 0.02


def compare_bfloat16(model, pairs: Iterable[tuple[Sequence[int], Sequence[int]]]) -> None:
    """Each token is the best, or nearly so, of float32 arithmetic with bfloat16 weights.

    model: float32 with those weights; pairs as above.
    """
    behind = []
    for prompt, tokens in pairs:
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
        best, worst = logits.max(-1).values, logits.min(-1).values
        chosen = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        behind.append((best - chosen) / (best - worst))
    parts = torch.cat(behind).sort().values
    same = int((parts == 0).sum())
    print(f"{same} of {len(parts)} tokens are float32's, the last {parts[-1]:.3f} behind")
    assert same >= 0.9 * len(parts)
    # Rounding may send a token to other experts, and then anything follows.
    assert parts[int(0.95 * len(parts))] <= BFLOAT16_MARGIN

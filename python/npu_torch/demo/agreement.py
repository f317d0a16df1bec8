"""How often reduced precision picks the same next token as float32 on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from npu_torch.demo.corpus import load_corpus
from npu_torch.demo.run import load

WINDOW = 256
WINDOWS = 17
"""Windows of held-out text: 17 * 256 = 4,352 teacher-forced positions."""


@dataclass(frozen=True)
class Agreement:
    """Shares of positions whose most likely next token equals float32's on the CPU."""

    positions: int
    npu: float
    cpu: float


def held_out_windows() -> torch.Tensor:
    """Token ids [WINDOWS, WINDOW] from the beginnings of held-out files."""
    _, tokenizer = load("cpu", torch.float32)
    rows = []
    for source in load_corpus().held_out:
        ids = tokenizer(source.text)["input_ids"]
        if len(ids) >= WINDOW:
            rows.append(ids[:WINDOW])
        if len(rows) == WINDOWS:
            break
    return torch.tensor(rows)


def _choices(device: str, dtype: torch.dtype, windows: torch.Tensor) -> torch.Tensor:
    model, _ = load(device, dtype)
    with torch.inference_mode():
        parts = [model(part.to(device)).logits.argmax(-1).cpu() for part in windows.split(8)]
    return torch.cat(parts)


def measure_agreement(dtype: torch.dtype = torch.bfloat16) -> Agreement:
    """Top-1 agreement of `dtype` with float32 on the CPU, for the device and for the CPU itself."""
    windows = held_out_windows()
    reference = _choices("cpu", torch.float32, windows)
    shares = {
        device: (_choices(device, dtype, windows) == reference).float().mean().item()
        for device in ("npu", "cpu")
    }
    return Agreement(reference.numel(), **shares)

"""How long `npu-torch time` takes by its own clock: fresh processes, empty cache folders."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from figures import Figure

TOPIC = "asking npu-torch time"
SLACK = 1.5
PROCESSES = 5

GEMM = "gemm 4096x4096x4096"


def ask(question: str) -> dict[str, Any]:
    """The answer of a fresh process that remembers nothing."""
    with tempfile.TemporaryDirectory() as cache:
        finished = subprocess.run(
            [sys.executable, "-m", "npu_torch_cli", "time", *question.split(), "--json"],
            env={**os.environ, "NPU_CACHE_DIR": cache},
            stdout=subprocess.PIPE,
            check=True,
        )
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


def ragged_step(number: int, folder: Path) -> str:
    """A decode step of 64 sequences, of other lengths each time."""
    lengths = random.Random(number)
    path = folder / f"contexts{number}"
    path.write_text("\n".join(str(lengths.randint(100, 4000)) for _ in range(64)))
    return f"layer --model llama-3-8b --layers all --contexts {path} --arch n1"


def figures(only: str) -> Iterator[Figure]:
    """The questions whose names contain `only`."""
    with tempfile.TemporaryDirectory() as folder:
        cases: list[tuple[str, float, str, Callable[[int], str]]] = [
            (f"{GEMM}, ms", 5, "wall_ms", lambda i: f"{GEMM} --arch n1"),
            (
                "layer of Llama-3-8B, 2,048 prefill tokens, ms",
                30,
                "wall_ms",
                lambda i: "layer --model llama-3-8b --tokens 2048 --arch n1",
            ),
            (
                "decode step of Llama-3-8B, batch 64, ragged, ms",
                30,
                "wall_ms",
                lambda i: ragged_step(i, Path(folder)),
            ),
            (f"{GEMM}, remembered, us", 20, "remembered_us", lambda i: f"{GEMM} --arch n1"),
        ]
        for name, most, key, question in cases:
            if only not in f"{TOPIC}: {name}":
                continue
            taken = [ask(question(i))[key] for i in range(PROCESSES)]
            yield Figure(
                TOPIC,
                name,
                statistics.median(taken) / most,
                1.0,
                f"of {most}",
                at_least=False,
                slack=SLACK,
                details={key: taken},
            )

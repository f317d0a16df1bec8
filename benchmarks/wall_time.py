"""Wall time of the device against PyTorch's CPU kernels, the same number of threads.

The sides take turns, several runs a turn. A shared host may change its pace from one second to the
next, so what counts is the ratio within a round, and of those the median. PyTorch's OpenMP threads
go on spinning for milliseconds after a CPU kernel has ended, on processors that the other side
would compute with: each turn begins with a pause and a run that does not count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from figures import Figure

TOPIC = "wall time beside the CPU's"
# Two runs on a shared host.
SLACK = 1.25
ROUNDS = 9
SETTLING_SECONDS = 0.03
HOST_FMA = Path("build/benchmarks/host_fma")

Side = Callable[[], object]


@dataclass
class Case:
    """`make` gives two functions that do the same work, the CPU's first; `runs` of it a turn.

    `multiply_adds` is how many of float32 the work takes, where those decide.
    """

    name: str
    bound: float
    runs: int
    make: Callable[[], tuple[Side, Side]]
    multiply_adds: int = 0


def on_both(make: Callable[[str], Side], warm_up: int = 2) -> Callable[[], tuple[Side, Side]]:
    """Two sides from one function of the device, each warmed up."""

    def sides() -> tuple[Side, Side]:
        made = make("cpu"), make("npu")
        for side in made:
            for _ in range(warm_up):
                side()
        return made

    return sides


def cases() -> list[Case]:
    """What is measured, with the promised bounds."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    from npu_torch.demo import run as demo

    def finished(device: str, work: Side) -> Side:
        if device == "cpu":
            return work

        def run() -> None:
            work()
            torch.npu.synchronize()

        return run

    def random(device: str, *sizes: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        torch.manual_seed(sum(sizes))
        return torch.randn(*sizes).to(dtype).to(device)

    def mm(dtype: torch.dtype) -> Callable[[str], Side]:
        def make(device: str) -> Side:
            a, b, c = (random(device, 2048, 2048, dtype=dtype) for _ in range(3))
            return finished(device, lambda: torch.mm(a, b, out=c))

        return make

    def add(device: str) -> Side:
        a, b, c = (random(device, 1 << 24) for _ in range(3))
        return finished(device, lambda: torch.add(a, b, out=c))

    def small_adds(device: str) -> Side:
        a, b, c = (random(device, 1024) for _ in range(3))

        def run() -> None:
            for _ in range(2000):
                torch.add(a, b, out=c)

        return finished(device, run)

    def softmax(device: str) -> Side:
        x, y = (random(device, 4096, 4096) for _ in range(2))
        return finished(device, lambda: torch.softmax(x, -1, out=y))

    def gelu(device: str) -> Side:
        x, y = (random(device, 1 << 24, dtype=torch.bfloat16) for _ in range(2))
        return finished(device, lambda: torch._C._nn.gelu(x, out=y))

    def attention(device: str) -> Side:
        q, k, v = (random(device, 1, 8, 2048, 64, dtype=torch.bfloat16) for _ in range(3))
        return finished(device, lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def generation(device: str) -> Side:
        model, tokenizer = demo.load(device, torch.float32)
        batch = demo.encode(tokenizer, demo.PROMPTS, device)
        return lambda: demo.generate(model, batch)

    return [
        Case("mm bfloat16 2048", 1.0, 3, on_both(mm(torch.bfloat16))),
        Case("mm float32 2048", 0.8, 3, on_both(mm(torch.float32)), multiply_adds=2048**3),
        Case("add float32 16Mi", 1.0, 9, on_both(add)),
        Case("softmax float32 4096x4096", 1.0, 9, on_both(softmax)),
        Case("gelu bfloat16 16Mi", 1.1, 9, on_both(gelu)),
        Case("causal attention bfloat16 8x2048x64", 1.2, 5, on_both(attention)),
        Case("add float32 1024, a call", 2.0, 5, on_both(small_adds)),
        Case("demo generation", 1.3, 1, on_both(generation, warm_up=1)),
    ]


def fma_milliseconds(multiply_adds: int) -> float:
    """What the host's multiply-adds alone take, with as many threads as the sides have."""
    command = [str(HOST_FMA), os.environ["NPU_HOST_THREADS"], str(multiply_adds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(case: Case) -> Figure:
    """The median ratio of all rounds."""
    sides = dict(zip(("cpu", "npu"), case.make(), strict=True))
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        medians = {}
        for name, side in sides.items():
            time.sleep(SETTLING_SECONDS)
            side()
            times = []
            for _ in range(case.runs):
                start = time.perf_counter()
                side()
                times.append((time.perf_counter() - start) * 1e3)
            medians[name] = statistics.median(times)
        if case.multiply_adds:
            time.sleep(SETTLING_SECONDS)
            medians["fma"] = fma_milliseconds(case.multiply_adds)
        rounds.append(medians)
    return Figure(
        TOPIC,
        case.name,
        statistics.median(each["npu"] / each["cpu"] for each in rounds),
        case.bound,
        "of the CPU's time",
        at_least=False,
        slack=SLACK,
        details={
            f"{name}_ms": statistics.median(each[name] for each in rounds) for name in rounds[0]
        },
    )


def figures(only: str) -> Iterator[Figure]:
    """The cases whose names contain `only`."""
    import torch

    with torch.inference_mode():
        for case in cases():
            if only in f"{TOPIC}: {case.name}":
                yield measure(case)

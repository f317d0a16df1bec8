"""Wall time of the device against PyTorch's CPU kernels, the same number of threads, one run.

    .venv/bin/python benchmarks/run.py [--threads 2] [--json FILE] [--only NAME]

Each case alternates between the two sides and reports medians and their ratio beside the bound that
the project promises. The exit status is 1 where a ratio exceeds its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass
class Result:
    """Medians of one case, in milliseconds."""

    name: str
    cpu_ms: float
    npu_ms: float
    ratio: float
    bound: float


@dataclass
class Case:
    """Two functions that do the same work; `bound` is the largest allowed ratio of their times."""

    name: str
    bound: float
    repeats: int
    make: Callable[[], tuple[Callable[[], None], Callable[[], None]]]


def measure(case: Case) -> Result:
    """Warm both sides up, then alternate."""
    cpu, npu = case.make()
    for side in (cpu, npu):
        side()
        side()
    times: dict[str, list[float]] = {"cpu": [], "npu": []}
    for _ in range(case.repeats):
        for name, side in (("cpu", cpu), ("npu", npu)):
            start = time.perf_counter()
            side()
            times[name].append((time.perf_counter() - start) * 1e3)
    cpu_ms, npu_ms = statistics.median(times["cpu"]), statistics.median(times["npu"])
    return Result(case.name, cpu_ms, npu_ms, npu_ms / cpu_ms, case.bound)


def cases() -> list[Case]:
    """What is measured, with the promised bounds."""
    import torch

    from npu_torch.demo import run as demo

    def mm(dtype: torch.dtype) -> tuple[Callable[[], None], Callable[[], None]]:
        torch.manual_seed(0)
        a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
        c = torch.empty_like(a)
        on_npu = [tensor.to("npu") for tensor in (a, b, c)]

        def npu() -> None:
            torch.mm(on_npu[0], on_npu[1], out=on_npu[2])
            torch.npu.synchronize()

        return lambda: torch.mm(a, b, out=c), npu

    def add() -> tuple[Callable[[], None], Callable[[], None]]:
        torch.manual_seed(0)
        a, b = (torch.randn(1 << 24) for _ in range(2))
        c = torch.empty_like(a)
        on_npu = [tensor.to("npu") for tensor in (a, b, c)]

        def npu() -> None:
            torch.add(on_npu[0], on_npu[1], out=on_npu[2])
            torch.npu.synchronize()

        return lambda: torch.add(a, b, out=c), npu

    def generation() -> tuple[Callable[[], None], Callable[[], None]]:
        sides = []
        for device in ("cpu", "npu"):
            model, tokenizer = demo.load(device, torch.float32)
            batch = demo.encode(tokenizer, demo.PROMPTS, device)
            sides.append(lambda model=model, batch=batch: demo.generate(model, batch))
        return sides[0], sides[1]

    return [
        Case("mm float32 2048", 2.0, 9, lambda: mm(torch.float32)),
        Case("mm bfloat16 2048", 2.0, 15, lambda: mm(torch.bfloat16)),
        Case("add float32 16Mi out=", 2.0, 15, add),
        Case("demo generation", 3.0, 5, generation),
    ]


def main() -> int:
    """Run the cases, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", metavar="FILE", help="also write the results there")
    parser.add_argument("--only", metavar="NAME", default="", help="cases whose name contains it")
    args = parser.parse_args()
    os.environ["NPU_HOST_THREADS"] = str(args.threads)

    import torch

    torch.set_num_threads(args.threads)
    results = []
    with torch.inference_mode():
        for case in cases():
            if args.only in case.name:
                results.append(measure(case))
                r = results[-1]
                verdict = "ok" if r.ratio <= r.bound else "TOO SLOW"
                print(
                    f"{r.name:24} cpu {r.cpu_ms:10.2f} ms  npu {r.npu_ms:10.2f} ms  "
                    f"ratio {r.ratio:5.2f}  bound {r.bound:4.1f}  {verdict}",
                    flush=True,
                )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            report = {"threads": args.threads, "results": [asdict(r) for r in results]}
            json.dump(report, file, indent=2)
    return 0 if all(r.ratio <= r.bound for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())

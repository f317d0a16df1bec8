"""What timing adds to the wall time of execution: NPU_TIMING=on against off.

The variable is read once, so each side is a process of its own that runs the case whenever a line
comes in, and answers with the milliseconds that it took. This file is their program, too. Processes
of one side differ by several percent (where their memory lies), so there are several pairs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from figures import Figure

TOPIC = "cost of timing"
SLACK = 1.03
PAIRS = 5
CASES = {
    # name: bound, rounds of a pair
    "mm bfloat16 2048": (1.03, 9),
    "add float32 16Mi": (1.03, 9),
    "demo generation": (1.05, 5),
}


def work(name: str) -> Callable[[], object]:
    """The case on the device."""
    import torch
    from wall_time import cases

    (case,) = [case for case in cases() if case.name == name]
    with torch.inference_mode():
        return case.make()[1]


def serve(name: str) -> None:
    """A line in: run the case once; a line out: its milliseconds."""
    import torch

    torch.set_num_threads(int(os.environ["NPU_HOST_THREADS"]))
    run = work(name)
    print("ready", flush=True)
    with torch.inference_mode():
        for _ in sys.stdin:
            start = time.perf_counter()
            run()
            print((time.perf_counter() - start) * 1e3, flush=True)


class Side:
    """A process that runs a case."""

    def __init__(self, name: str, timing: str) -> None:
        """Start it and wait until it is warm."""
        self.process = subprocess.Popen(
            [sys.executable, __file__, name],
            env={**os.environ, "NPU_TIMING": timing},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready":
            raise RuntimeError(f"'{name}' with NPU_TIMING={timing} does not start")

    def __enter__(self) -> Side:
        """Ends with its scope."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Without input it has nothing to do."""
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self) -> float:
        """Milliseconds of one run."""
        assert self.process.stdin is not None
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return float(self._line())


def compare(name: str, rounds: int) -> dict[str, float]:
    """Median milliseconds of both sides in one pair of processes."""
    times: dict[str, list[float]] = {"on": [], "off": []}
    with Side(name, "on") as on, Side(name, "off") as off:
        for i in range(rounds):
            # Taking turns at going first.
            order = [("on", on), ("off", off)]
            for timing, side in order if i % 2 else reversed(order):
                times[timing].append(side.run())
    return {timing: statistics.median(values) for timing, values in times.items()}


def figures(only: str) -> Iterator[Figure]:
    """The cases whose names contain `only`."""
    for name, (bound, rounds) in CASES.items():
        if only not in f"{TOPIC}: {name}":
            continue
        pairs = [compare(name, rounds) for _ in range(PAIRS)]
        ratios = [pair["on"] / pair["off"] for pair in pairs]
        yield Figure(
            TOPIC,
            name,
            statistics.median(ratios),
            bound,
            "of the time without",
            at_least=False,
            slack=SLACK,
            details={"pairs": pairs, "ratios": ratios},
        )


if __name__ == "__main__":
    serve(sys.argv[1])

"""Simulated latencies of the requests of a serving engine, beside wall time.

The engine's own process follows requests with `ServingTimes` and sums them up in a `LatencyTable`.
The process that answers the metrics endpoint calls `share`: it can read the tables of its children.
"""

from __future__ import annotations

import atexit
import bisect
import dataclasses
import functools
import mmap
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

# Where the children of a process that shares its tables find them.
_DIRECTORY_VARIABLE = "NPU_SERVING_TIMES"

# Upper bounds of the histograms' buckets, in seconds: 10 us to 10 s and beyond.
BUCKETS = tuple(step * 10.0**power for power in range(-5, 1) for step in (1, 2.5, 5)) + (10.0,)


@dataclasses.dataclass(frozen=True)
class Latencies:
    """What has become known of a request, in seconds: the time to its first token, when it has that
    token; the mean time per token after that, when it has ended."""

    first_simulated: float | None = None
    first_wall: float | None = None
    each_simulated: float | None = None
    each_wall: float | None = None


def mark() -> torch.Event:
    """A point of the current stream whose simulated time can be told once it has been passed."""
    event = torch.npu.Event(enable_timing=True)
    event.record()
    return event


@dataclasses.dataclass
class _Request:
    arrival: torch.Event
    arrival_wall: float
    tokens: int = 0
    first: float = 0.0  # seconds after the arrival
    first_wall: float = 0.0
    last: float = 0.0
    last_wall: float = 0.0


class ServingTimes:
    """Follows requests through one engine, on the device's own clock.

    That clock stands still while the device has nothing to do. A request that arrives while a step
    runs arrives at that step's end.
    """

    def __init__(self, observe: Callable[[Latencies], None]) -> None:
        """observe: told of a request at its first token, and at its end if it had further ones."""
        self._observe = observe
        self._requests: dict[str, _Request] = {}

    def arrived(self, request: str) -> None:
        """The engine has accepted a request, which from now on waits."""
        self._requests[request] = _Request(mark(), time.monotonic())

    def produced(self, tokens: Mapping[str, int], at: torch.Event) -> None:
        """Requests have been given tokens, so many each, by a step that ended at the mark `at`."""
        at.synchronize()
        now = time.monotonic()
        for name, count in tokens.items():
            request = self._requests.get(name)
            if request is None or not count:
                continue
            simulated = request.arrival.elapsed_time(at) / 1e3
            wall = now - request.arrival_wall
            if not request.tokens:
                request.first, request.first_wall = simulated, wall
                self._observe(Latencies(first_simulated=simulated, first_wall=wall))
            request.last, request.last_wall = simulated, wall
            request.tokens += count

    def finished(self, name: str) -> None:
        """A request has ended, or has been given up. Unknown ones are passed over."""
        request = self._requests.pop(name, None)
        if request is None or request.tokens < 2:
            return
        further = request.tokens - 1
        self._observe(
            Latencies(
                each_simulated=(request.last - request.first) / further,
                each_wall=(request.last_wall - request.first_wall) / further,
            )
        )


_QUANTITIES = ("first_simulated", "first_wall", "each_simulated", "each_wall")
METRICS = {
    "first_simulated": (
        "npu:simulated_time_to_first_token_seconds",
        "Requests' time to first token, on the simulated device's clock.",
    ),
    "each_simulated": (
        "npu:simulated_time_per_output_token_seconds",
        "Ended requests' mean time per further token, on the simulated device's clock.",
    ),
}
# Of a table: whether its summary has been told.
_TOLD, _HEADER = range(2)
# Of a quantity: the sum, the longest, and a count for each bucket and for what exceeds the last.
_WIDTH = 2 + len(BUCKETS) + 1
_BYTES = 8 * (_HEADER + _WIDTH * len(_QUANTITIES))


class LatencyTable:
    """Sums over requests, in memory that a parent process may share."""

    def __init__(self, path: Path | None = None) -> None:
        """path: an existing table; None makes one, where the parent looks if there is one."""
        if path is None and (folder := os.environ.get(_DIRECTORY_VARIABLE)):
            handle, name = tempfile.mkstemp(dir=folder)
            os.truncate(handle, _BYTES)
            os.close(handle)
            path = Path(name)
        if path is None:
            memory = mmap.mmap(-1, _BYTES)
        else:
            with path.open("r+b") as file:
                memory = mmap.mmap(file.fileno(), _BYTES)
        self._values: Any = memoryview(memory).cast("d")

    def _of(self, quantity: str) -> Any:
        start = _HEADER + _WIDTH * _QUANTITIES.index(quantity)
        return self._values[start : start + _WIDTH]

    def add(self, request: Latencies) -> None:
        """Count what has become known of a request."""
        for quantity in _QUANTITIES:
            seconds = getattr(request, quantity)
            if seconds is not None:
                values = self._of(quantity)
                values[0] += seconds
                values[1] = max(values[1], seconds)
                values[2 + bisect.bisect_left(BUCKETS, seconds)] += 1

    def histogram(self, quantity: str) -> tuple[list[float], float]:
        """Requests in each bucket, the last without a bound, and the sum in seconds."""
        values = self._of(quantity)
        return list(values[2:]), values[0]

    def summary(self) -> str:
        """One line for the log, once: later calls, and those without requests, return nothing."""
        if self._values[_TOLD] or not any(self.histogram("first_simulated")[0]):
            return ""
        self._values[_TOLD] = 1
        text = "Time to first token of " + self._pair("first")
        if any(self.histogram("each_simulated")[0]):
            text += "; time per further token of " + self._pair("each")
        return text

    def _pair(self, quantity: str) -> str:
        parts = []
        for clock in ("simulated", "wall"):
            values = self._of(f"{quantity}_{clock}")
            requests = sum(values[2:])
            mean = 1e3 * values[0] / requests
            parts.append(f"{clock} mean {mean:.3f} ms, longest {1e3 * values[1]:.3f} ms")
        return f"{requests:.0f} requests: {parts[0]} ({parts[1]})"


@functools.cache
def share(log: Callable[[str], None], metrics: bool = True) -> None:
    """Read the tables that this process and its children make from now on.

    They appear among the metrics of prometheus_client, which must be installed, unless `metrics` is
    false. At exit, summaries that no engine came to tell are told through `log`. Call it before the
    engine starts.
    """
    if multiprocessing.parent_process() is not None and _DIRECTORY_VARIABLE in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="npu_serving_"))
    os.environ[_DIRECTORY_VARIABLE] = str(folder)
    if metrics:
        from prometheus_client import REGISTRY

        REGISTRY.register(_Collector(folder))
    atexit.register(_end, folder, log, os.getpid())


def _tables(folder: Path) -> Iterable[LatencyTable]:
    return [LatencyTable(path) for path in sorted(folder.iterdir()) if path.stat().st_size]


def _end(folder: Path, log: Callable[[str], None], owner: int) -> None:
    if os.getpid() != owner:
        return
    for table in _tables(folder):
        if text := table.summary():
            log(text)
    shutil.rmtree(folder, ignore_errors=True)


class _Collector:
    """The tables of a folder as Prometheus histograms."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        from prometheus_client.metrics_core import HistogramMetricFamily

        tables = _tables(self._folder)
        for quantity, (name, help_text) in METRICS.items():
            counts, total = [0.0] * (len(BUCKETS) + 1), 0.0
            for table in tables:
                more, seconds = table.histogram(quantity)
                counts = [a + b for a, b in zip(counts, more, strict=True)]
                total += seconds
            bounds = [f"{bound:g}" for bound in BUCKETS] + ["+Inf"]
            cumulative = [sum(counts[: i + 1]) for i in range(len(counts))]
            buckets = list(zip(bounds, cumulative, strict=True))
            yield HistogramMetricFamily(name, help_text, buckets=buckets, sum_value=total)

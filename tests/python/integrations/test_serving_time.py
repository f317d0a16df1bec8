"""Simulated latencies: what is measured, and how it is shared and told."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
import torch

from npu_torch.integrations.serving_time import BUCKETS, Latencies, LatencyTable, ServingTimes, mark


@pytest.fixture
def observed():
    return []


def launch():
    """Some work for the device; returns the mark at its end."""
    x = torch.ones(64, 64, device="npu")
    torch.mm(x, x)
    return mark()


def test_times_are_the_devices_own(observed):
    times = ServingTimes(observed.append)
    start = mark()
    times.arrived("a")
    first = launch()
    times.produced({"a": 1}, first)
    launch()
    last = launch()
    times.produced({"a": 3, "unknown": 1}, last)
    times.finished("a")
    times.finished("a")  # vLLM tells some ends twice
    torch.npu.synchronize()
    at_first, at_end = observed
    assert at_first.first_simulated == pytest.approx(start.elapsed_time(first) / 1e3)
    assert at_end.each_simulated == pytest.approx(first.elapsed_time(last) / 3e3)
    assert at_first.first_simulated > 0 and at_end.each_simulated > 0
    assert at_first.first_wall > 0 and at_end.each_wall > 0
    assert at_first.each_simulated is None and at_end.first_simulated is None


def test_requests_without_further_tokens_have_no_time_per_token(observed):
    times = ServingTimes(observed.append)
    times.arrived("none")
    times.finished("none")
    assert observed == []
    times.arrived("one")
    times.produced({"one": 1}, launch())
    times.finished("one")
    assert len(observed) == 1


def test_a_table_counts_and_is_told_once():
    table = LatencyTable()
    assert table.summary() == ""
    for seconds in (BUCKETS[0], 0.003, 100.0):
        table.add(Latencies(first_simulated=seconds, first_wall=2 * seconds))
    counts, total = table.histogram("first_simulated")
    assert counts[0] == 1 and counts[-1] == 1 and sum(counts) == 3
    assert total == pytest.approx(100.003, abs=1e-4)
    assert "simulated mean 33334.337 ms, longest 100000.000 ms (wall" in table.summary()
    assert table.summary() == ""


def test_what_no_engine_told_is_told_at_exit():
    """The engine's process is killed; the one that started it tells the summary and the metrics."""
    pytest.importorskip("prometheus_client")
    program = """
import multiprocessing, os, signal
from npu_torch.integrations.serving_time import Latencies, LatencyTable, share
def engine():
    LatencyTable().add(Latencies(first_simulated=0.004, first_wall=0.5))
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    share(print)
    child = multiprocessing.get_context("spawn").Process(target=engine)
    child.start()
    child.join()
    from prometheus_client import generate_latest
    print(*[l for l in generate_latest().decode().splitlines() if "first_token_seconds_" in l])
    print(os.environ["NPU_SERVING_TIMES"])
"""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(program)
        file.flush()
        run = subprocess.run(
            [sys.executable, file.name], capture_output=True, text=True, check=True, timeout=120
        )
    metrics, folder, summary = run.stdout.splitlines()
    assert 'bucket{le="0.0025"} 0.0' in metrics and 'bucket{le="0.005"} 1.0' in metrics
    assert "seconds_sum 0.004" in metrics and "seconds_count 1.0" in metrics
    assert summary.startswith("Time to first token of 1 requests: simulated mean 4.000 ms")
    assert not os.path.exists(folder)

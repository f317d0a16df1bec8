"""The demo: the same text as the CPU, on both machines, at a reproducible simulated time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import torch

from npu_torch.demo.agreement import measure_agreement


@cache
def demo(**environment: str) -> dict[str, Any]:
    """One `npu-torch demo --json` in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "npu_torch_cli", "demo", "--json"],
        env={**os.environ, "NPU_FALLBACK": "error", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)  # nothing else stands on standard output


def test_tokens_equal_the_cpu_without_fallbacks() -> None:
    report = demo()
    assert report["tokens_equal_cpu"] is True
    assert report["fallbacks"] == {}
    assert report["arch"] == "n1"
    assert len(report["completions"]) == 4
    assert report["wall_s"] > 0 and report["cpu_wall_s"] > 0
    assert report["ttft_ns"] > 0 and report["tokens_per_s"] > 0


def test_the_table_of_kernels() -> None:
    kernels = demo()["kernels"]
    assert 0 < len(kernels) <= 10
    assert [row["device_ns"] for row in kernels] == sorted(
        (row["device_ns"] for row in kernels), reverse=True
    )
    assert "gemm" in {row["kernel"] for row in kernels}


SIMULATED = ("ttft_ns", "tokens_per_s", "simulated_ns", "counters", "completions", "kernels")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_simulated_time_depends_on_nothing_of_the_host(threads: str) -> None:
    first, second = demo(), demo(NPU_HOST_THREADS=threads)
    for key in SIMULATED:
        assert first[key] == second[key], key


def test_the_edge_machine_writes_the_same_in_more_time() -> None:
    n1, edge = demo(), demo(NPU_ARCH="n1-edge")
    assert edge["tokens_equal_cpu"] is True
    assert edge["fallbacks"] == {}
    assert edge["completions"] == n1["completions"]
    assert edge["simulated_ns"] > n1["simulated_ns"]


def test_bfloat16_agrees_with_float32_as_the_cpu_does() -> None:
    torch.npu.reset_fallback_stats()
    agreement = measure_agreement()
    assert torch.npu.fallback_stats() == {}
    assert agreement.positions >= 4096
    assert agreement.npu >= agreement.cpu - 0.005, agreement

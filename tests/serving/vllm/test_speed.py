"""Wall time beside the same vLLM on a CPU platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def timed(platform: str, repeats: int) -> dict:
    """Seconds of each generation, and its tokens."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    run = subprocess.run(
        [sys.executable, HERE / "timed_engine.py", platform, str(repeats)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_at_most_twice_the_time_of_the_cpu():
    """16 prompts of mixed lengths, 64 tokens each; the best of some, for others use the machine."""
    cpu, npu = timed("cpu", 4), timed("npu", 4)
    assert npu["tokens"] == cpu["tokens"]
    ratio = min(npu["seconds"]) / min(cpu["seconds"])
    print(f"npu {min(npu['seconds']):.2f} s, {ratio:.2f} times the CPU's")
    assert ratio <= 2

"""Fixtures that all Python suites share."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

import npu_torch  # noqa: F401  # registers the device before a test module imports op_db

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_python() -> RunPython:
    """Run Python code in a process of its own: run_python(code, NPU_X="...")."""

    def run(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run

"""`npu-torch ops`."""

import json
import subprocess
import sys
from typing import Any

import pytest


def ops(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "npu_torch_cli", "ops", *options],
        capture_output=True,
        text=True,
        timeout=550,
    )


def report(*options: str) -> dict[str, Any]:
    done = ops(*options, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tells_native_from_fallback() -> None:
    found = report("--op", "add", "--op", "linalg.qr", "--op", "div", "--processes", "1")
    rows = {(row["name"], row["variant"]): row for row in found["ops"]}
    assert rows["add", ""]["status"] == "native"
    assert rows["add", ""]["samples"] > 5
    assert rows["add", ""]["fallbacks"] == {}
    assert rows["linalg.qr", ""]["status"] == "fallback"
    assert rows["linalg.qr", ""]["fallbacks"]["aten::linalg_qr.out"] > 0
    assert {variant for name, variant in rows if name == "div"} == {
        "no_rounding_mode",
        "floor_rounding",
        "trunc_rounding",
    }
    assert found["dtype"] == "float32"
    assert found["summary"] == {
        "total": 5,
        "native": 4,
        "fallback": 1,
        "error": 0,
        "unsupported dtype": 0,
    }


def test_table_and_unknown_operator() -> None:
    done = ops("--op", "neg", "--dtype", "int64")
    assert done.returncode == 0
    assert "neg" in done.stdout
    assert "int64: 1 total, 1 native" in done.stdout
    done = ops("--op", "no_such_operator")
    assert done.returncode == 2
    assert "no_such_operator" in done.stderr


@pytest.mark.timeout(600)
def test_most_operators_run_natively_in_float32() -> None:
    summary = report()["summary"]
    assert summary["total"] == 677
    assert summary["native"] >= 500
    assert summary["error"] <= 3  # sparse layouts

"""The preset tpu-v6e reproduces measured latencies as well as docs/calibration.md says."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


fit = load(BENCHMARKS / "calibrate" / "fit_tpu_v6e.py")


def test_committed_preset_is_as_close_as_promised() -> None:
    rows = fit.read_rows()
    assert len(rows) == 24
    errors = fit.errors(rows)
    mean, median = fit.mean_and_median(errors)
    assert mean <= 0.08
    assert median <= 0.06
    table = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    for row, error in zip(rows, errors, strict=True):
        line = re.search(rf"\| {row.m} x {row.k} x {row.n} \|.*\|", table)
        assert line
        told = re.findall(r"([+-][\d.]+)%", line[0])
        assert float(told[0]) == pytest.approx(100 * error, abs=0.3), line[0]


def test_no_more_than_six_numbers_are_fitted() -> None:
    preset = fit.PRESET.read_text(encoding="utf-8")
    numbers = re.findall(r"^(\w+) = \S+ +# fitted", preset, re.MULTILINE)
    assert numbers == [constant.key.split(".")[1] for constant in fit.CONSTANTS]
    assert len(numbers) <= 6


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fit_finds_the_committed_constants_and_holds_without_each_row(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    subprocess.run([sys.executable, fit.__file__, "--json", figures], check=True)
    found = json.loads(figures.read_text(encoding="utf-8"))
    with fit.PRESET.open("rb") as file:
        preset = tomllib.load(file)
    for key, value in found["constants"].items():
        section, name = key.split(".")
        assert preset[section][name] == value
    mean, median = fit.mean_and_median(found["left_out"])
    assert mean <= 0.09
    assert median <= 0.07


def test_accuracy_is_plotted(tmp_path: Path) -> None:
    plot = load(BENCHMARKS / "accuracy_plot.py")
    plot.write(tmp_path / "accuracy.svg")
    assert "tpu-v6e: mean" in (tmp_path / "accuracy.svg").read_text(encoding="utf-8")

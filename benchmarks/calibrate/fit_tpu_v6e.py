"""Fits the constants of sim/presets/tpu-v6e.toml that no source gives to measured latencies.

    .venv/bin/python benchmarks/calibrate/fit_tpu_v6e.py [--write] [--json FILE]

Latencies come from the machine model itself: the library's own GEMM kernel in the tiling that the
library chooses, timed by the simulator. The script looks for the constants that bring them closest
to the rows of tpu_v6e_gemm.csv, and does so again without each row to say how far off a shape is
that was not fitted. `--write` puts constants into the preset (build again then) and the table of
errors into docs/calibration.md.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ROWS_FILE = HERE / "tpu_v6e_gemm.csv"
PRESET = ROOT / "sim" / "presets" / "tpu-v6e.toml"
DOCUMENT = ROOT / "docs" / "calibration.md"


@dataclass(frozen=True)
class Constant:
    """A key of the machine file, and the values that the fit may give it."""

    key: str
    low: float
    high: float
    step: float

    def values(self, stride: int) -> range:
        """Every stride-th value, in steps above the lowest."""
        return range(0, self.last + 1, stride)

    @property
    def last(self) -> int:
        """The highest value, in steps above the lowest."""
        return round((self.high - self.low) / self.step)

    def text(self, steps: int) -> str:
        """The value as the machine file writes it."""
        return f"{self.low + steps * self.step:.10g}"


CONSTANTS = (
    Constant("core.start_cycles", 0, 3000, 10),
    Constant("matrix.swap_cycles", 0, 100, 1),
    Constant("hbm.refresh_fraction", 0, 0.2, 0.001),
    Constant("compiler.block_traffic", 1, 2, 0.25),
)
COARSE = (60, 20, 40, 1)  # strides of the first grid

Point = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A measured product."""

    m: int
    k: int
    n: int
    latency_ns: float


def read_rows(path: Path = ROWS_FILE) -> list[Row]:
    """The rows of a file with the columns m, k, n and latency_ns."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    return [
        Row(int(row["m"]), int(row["k"]), int(row["n"]), float(row["latency_ns"]))
        for row in csv.DictReader(lines)
    ]


def simulated_ns(shapes: Sequence[Row], overrides: Sequence[str] = ()) -> list[float]:
    """What the preset, with keys overridden, says of each shape."""
    from npu_torch import _C
    from npu_torch.estimate.kernels import gemm

    estimator = _C.Estimator("tpu-v6e", list(overrides))
    times = []
    for row in shapes:
        ask = gemm(estimator, row.m, row.k, row.n, "bf16")
        estimator.forget()
        ask()
        times.append(float(estimator.total()["device_ns"]))
    return times


def errors(shapes: Sequence[Row], overrides: Sequence[str] = ()) -> list[float]:
    """Relative errors: above 0 where the model is too slow."""
    times = simulated_ns(shapes, overrides)
    return [time / row.latency_ns - 1 for row, time in zip(shapes, times, strict=True)]


def mean_and_median(values: Sequence[float]) -> tuple[float, float]:
    """Of the magnitudes."""
    sizes = [abs(value) for value in values]
    return statistics.fmean(sizes), statistics.median(sizes)


class Fit:
    """A search over the constants' values for a set of rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """Nothing is evaluated yet."""
        self.rows = rows
        self.errors = cache(self._errors)  # leaving rows out asks the same points again

    def _errors(self, point: Point) -> list[float]:
        pairs = zip(CONSTANTS, point, strict=True)
        return errors(self.rows, [f"{c.key}={c.text(steps)}" for c, steps in pairs])

    def loss(self, point: Point, left_out: int | None) -> float:
        """The mean error, and some of its root mean square so that no row is given up."""
        used = [e for i, e in enumerate(self.errors(point)) if i != left_out]
        mean, _ = mean_and_median(used)
        return mean + 0.3 * statistics.fmean(e * e for e in used) ** 0.5

    def best(self, left_out: int | None = None) -> Point:
        """A coarse grid, then descent over neighbours at ever finer strides."""
        grid = itertools.product(*(c.values(s) for c, s in zip(CONSTANTS, COARSE, strict=True)))
        point = min(grid, key=lambda p: self.loss(p, left_out))
        strides = list(COARSE)
        while True:
            sides = [
                [x for x in (at - s, at, at + s) if 0 <= x <= c.last]
                for at, s, c in zip(point, strides, CONSTANTS, strict=True)
            ]
            better = min(itertools.product(*sides), key=lambda p: self.loss(p, left_out))
            if self.loss(better, left_out) < self.loss(point, left_out):
                point = better
            elif max(strides) > 1:
                strides = [max(1, s // 2) for s in strides]
            else:
                return point


def table(rows: Sequence[Row], fitted: Sequence[float], left_out: Sequence[float]) -> str:
    """Markdown: each row's error in the fit, and in the fit to the others."""
    lines = [
        "| M x K x N | measured, us | simulated, us | error | without this row |",
        "|---|--:|--:|--:|--:|",
    ]
    for row, error, other in zip(rows, fitted, left_out, strict=True):
        measured = row.latency_ns / 1e3
        lines.append(
            f"| {row.m} x {row.k} x {row.n} | {measured:.1f} | {measured * (1 + error):.1f} "
            f"| {error:+.1%} | {other:+.1%} |"
        )
    for name, pick in (("mean", 0), ("median", 1)):
        fit, other = mean_and_median(fitted)[pick], mean_and_median(left_out)[pick]
        lines.append(f"| {name} of magnitudes | | | {fit:.1%} | {other:.1%} |")
    return "\n".join(lines)


def write_preset(point: Point) -> None:
    """Replaces the values of the lines that say "fitted"."""
    text = PRESET.read_text(encoding="utf-8")
    for constant, steps in zip(CONSTANTS, point, strict=True):
        name = constant.key.split(".")[1]
        line = re.compile(rf"^({name} = )\S+( +# fitted)", re.MULTILINE)
        text, count = line.subn(rf"\g<1>{constant.text(steps)}\g<2>", text)
        if count != 1:
            raise SystemExit(f"{PRESET}: {count} lines '{name} = ...  # fitted', wanted is one")
    PRESET.write_text(text, encoding="utf-8")


def write_document(text: str) -> None:
    """Replaces what stands between the markers."""
    marked = re.compile(r"(<!-- fit_tpu_v6e -->\n).*(<!-- end -->)", re.DOTALL)
    old = DOCUMENT.read_text(encoding="utf-8")
    new, count = marked.subn(lambda found: f"{found[1]}{text}\n{found[2]}", old)
    if count != 1:
        raise SystemExit(f"{DOCUMENT}: no markers")
    DOCUMENT.write_text(new, encoding="utf-8")


def main() -> int:
    """Fit, say what came out, and write where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="into the preset and the document")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    args = parser.parse_args()

    # The library keeps its choices of tiles in files: not those for machines that nobody wants.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NPU_CACHE_DIR"] = folder
        rows = read_rows()
        fit = Fit(rows)
        point = fit.best()
        left_out = [fit.errors(fit.best(i))[i] for i in range(len(rows))]
    constants = {c.key: float(c.text(s)) for c, s in zip(CONSTANTS, point, strict=True)}
    fitted = fit.errors(point)
    print(*(f"{key} = {value:g}" for key, value in constants.items()), sep="\n", end="\n\n")
    print(table(rows, fitted, left_out))
    if args.write:
        write_preset(point)
        write_document(table(rows, fitted, left_out))
    if args.json:
        figures = {"constants": constants, "errors": fitted, "left_out": left_out}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

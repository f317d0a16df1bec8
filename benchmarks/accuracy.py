"""How far the preset `tpu-v6e` is from measured products (docs/calibration.md)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Figure

sys.path.insert(0, str(Path(__file__).parent / "calibrate"))
import fit_tpu_v6e
from fit_tpu_v6e import errors, mean_and_median, read_rows

TOPIC = "error against measured TPU v6e products"
# Simulated: the same in every run. A hundredth of a percent stands for rounding in the reference.
SLACK = 1.01


FITTED = "24 rows"
LEFT_OUT = "each row, fitted to the others"


def left_out() -> list[float]:
    """The error of each row when the constants are fitted to the others: takes half a minute.

    In a process of its own, whose choices of tiles for all those machines nobody keeps.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        subprocess.run(
            [sys.executable, fit_tpu_v6e.__file__, "--json", str(path)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        found: list[float] = json.loads(path.read_text(encoding="utf-8"))["left_out"]
    return found


def _mean_and_median(
    what: str, relative: Sequence[float], mean_bound: float, median_bound: float
) -> Iterator[Figure]:
    mean, median = mean_and_median(relative)
    for name, error, bound in (("mean", mean, mean_bound), ("median", median, median_bound)):
        details = {"rows": list(relative)}
        yield Figure(
            TOPIC, f"{what}, {name}", error, bound, "of the measured time", False, SLACK, details
        )


def figures(only: str) -> Iterator[Figure]:
    """Mean and median of the absolute relative errors."""
    if only in f"{TOPIC}: {FITTED}":
        yield from _mean_and_median(FITTED, errors(read_rows()), 0.08, 0.06)
    if only in f"{TOPIC}: {LEFT_OUT}":
        yield from _mean_and_median(LEFT_OUT, left_out(), 0.09, 0.07)

"""How far the preset `tpu-v6e` is from measured products (docs/calibration.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from figures import Figure

sys.path.insert(0, str(Path(__file__).parent / "calibrate"))
from fit_tpu_v6e import errors, mean_and_median, read_rows

TOPIC = "error against measured TPU v6e products"
# Simulated: the same in every run. A hundredth of a percent stands for rounding in the reference.
SLACK = 1.01


def figures(only: str) -> Iterator[Figure]:
    """Mean and median of the absolute relative errors."""
    if only not in f"{TOPIC}: mean and median":
        return
    relative = errors(read_rows())
    bounds = {"mean": 0.08, "median": 0.06}
    for (name, bound), error in zip(bounds.items(), mean_and_median(relative), strict=True):
        details = {"rows": relative}
        yield Figure(TOPIC, name, error, bound, "of the measured time", False, SLACK, details)

"""Plots what the `tpu-v6e` preset says of the measured products beside what was measured.

.venv/bin/python benchmarks/accuracy_plot.py FILE.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "calibrate"))
from fit_tpu_v6e import Row, mean_and_median, read_rows, simulated_ns

PEAK_FLOPS_PER_NS = 918e3
PEAK_BYTES_PER_NS = 1640


def roofline_ns(row: Row) -> float:
    """The product at the published peaks."""
    flops = 2 * row.m * row.k * row.n
    moved = 2 * (row.m * row.k + row.k * row.n + row.m * row.n)
    return max(flops / PEAK_FLOPS_PER_NS, moved / PEAK_BYTES_PER_NS)


def write(path: Path) -> None:
    """Draws the plot into a file of any format that matplotlib knows by its suffix."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = read_rows()
    measured = [row.latency_ns / 1e3 for row in rows]
    figure, (times, deviations) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7, 8), height_ratios=(3, 2), layout="constrained"
    )
    times.plot(sorted(measured), sorted(measured), color="gray", linewidth=1)
    for name, marker, simulated in (
        ("roofline of the published peaks", "x", [roofline_ns(row) for row in rows]),
        ("tpu-v6e", "o", simulated_ns(rows)),
    ):
        errors = [time / row.latency_ns - 1 for time, row in zip(simulated, rows, strict=True)]
        mean, median = mean_and_median(errors)
        label = f"{name}: mean {mean:.1%}, median {median:.1%}"
        times.plot(measured, [time / 1e3 for time in simulated], marker, label=label)
        deviations.plot(measured, [100 * error for error in errors], marker)
    times.set(xscale="log", yscale="log", ylabel="simulated, us", title="bf16 GEMM on a TPU v6e")
    times.legend()
    deviations.axhspan(-10, 10, color="gray", alpha=0.2)
    deviations.set(xlabel="measured, us", ylabel="error, %", ylim=(-100, 30))
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(Path(sys.argv[1]))

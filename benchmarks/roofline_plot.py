"""Draws what the library's kernels reach of the peaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from figures import Figure


def write(figures: Sequence[Figure], path: Path) -> None:
    """A file of any format that matplotlib knows by its suffix.

    To the left products, by multiply-accumulates for each byte of HBM traffic; to the right what
    every kernel reaches of the rate that bounds it, with the promised share as a line.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (roof, shares) = pyplot.subplots(1, 2, figsize=(13, 5), layout="constrained")

    products = [f for f in figures if f.details["macs"] > 0]
    if products:
        first = products[0].details
        rate = first["macs"] / first["device_ns"]  # multiply-accumulates a nanosecond
        peak = rate / first["matrix_utilization"]
        stream = first["hbm_bytes"] / first["device_ns"] / first["hbm_utilization"]
        stream *= first["hbm_stream_efficiency"]
        intensities = [f.details["macs"] / f.details["hbm_bytes"] for f in products]
        ends = [min(intensities) / 3, peak / stream, max(intensities) * 3]
        roof.plot(ends, [min(peak, stream * x) / 1e3 for x in ends], color="gray")
        for f, intensity in zip(products, intensities, strict=True):
            rate = f.details["macs"] / f.details["device_ns"]
            roof.plot(intensity, rate / 1e3, "o", label=f.name)
        roof.legend()
    roof.set(
        xscale="log",
        yscale="log",
        xlabel="useful multiply-accumulates a byte",
        ylabel="useful multiply-accumulates, 10^12/s",
        title="n1: matrix rate under the roofline",
    )

    names = [f"{f.name}\n{f.unit}" for f in figures]
    places = range(len(figures))
    shares.barh(places, [f.ratio for f in figures], color="steelblue")
    for place, f in zip(places, figures, strict=True):
        shares.plot([f.bound, f.bound], [place - 0.4, place + 0.4], color="black")
    shares.set_yticks(places, names, fontsize=7)
    shares.invert_yaxis()
    shares.set(xlim=(0, 1), xlabel="share reached; promised: black line", title="n1: shares")
    figure.savefig(path)
    pyplot.close(figure)

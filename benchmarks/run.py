"""Every figure that the project promises, as a ratio beside its bound, in one run.

    .venv/bin/python benchmarks/run.py [--only TEXT] [--threads N] [--out DIR] [--update]

Prints a table; writes results.json and plots to --out. The exit status is 1 where a figure misses
its bound, or is worse than benchmarks/reference.json says by more than two runs differ. --update
writes that file anew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import accuracy
import accuracy_plot
import asking
import roofline_plot
import rooflines
import timing_cost
import wall_time
from figures import Figure

REFERENCE = Path(__file__).with_name("reference.json")
TOPICS: list[Callable[[str], Iterator[Figure]]] = [
    rooflines.figures,
    accuracy.figures,
    asking.figures,
    timing_cost.figures,
    wall_time.figures,
]


def verdict(figure: Figure, reference: float | None) -> str:
    """What is wrong with it, if anything."""
    faults = []
    if not figure.holds():
        faults.append("misses its bound")
    if figure.has_regressed(reference):
        faults.append(f"was {reference:.3f}")
    return ", ".join(faults)


def line(figure: Figure, fault: str) -> str:
    """A row of the table."""
    sign = ">=" if figure.at_least else "<="
    bound = f"{figure.ratio:7.3f} {sign} {figure.bound:5.3f} {figure.unit}"
    return f"  {figure.name:50} {bound:44} {fault}".rstrip()


def main() -> int:
    """Measure, print, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", metavar="TEXT", default="", help="figures that contain it")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("build/bench"))
    parser.add_argument("--update", action="store_true", help="make this run the reference")
    args = parser.parse_args()
    os.environ["NPU_HOST_THREADS"] = str(args.threads)

    import torch

    torch.set_num_threads(args.threads)
    reference = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
    figures: list[Figure] = []
    faults = 0
    for topic in TOPICS:
        heading = ""
        for figure in topic(args.only):
            if figure.topic != heading:
                heading = figure.topic
                print(heading)
            fault = verdict(figure, reference.get(figure.key))
            faults += bool(fault)
            print(line(figure, fault), flush=True)
            figures.append(figure)

    args.out.mkdir(parents=True, exist_ok=True)
    report = {"threads": args.threads, "figures": [figure.to_json() for figure in figures]}
    (args.out / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    simulated = [figure for figure in figures if figure.topic == rooflines.TOPIC]
    if simulated:
        roofline_plot.write(simulated, args.out / "roofline.svg")
    if any(figure.topic == accuracy.TOPIC for figure in figures):
        accuracy_plot.write(args.out / "accuracy.svg")
    if args.update:
        kept = reference if args.only else {}
        reference = kept | {figure.key: round(figure.ratio, 4) for figure in figures}
        REFERENCE.write_text(json.dumps(reference, indent=2) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

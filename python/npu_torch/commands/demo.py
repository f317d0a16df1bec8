"""`npu-torch demo`: a small Llama completes four prompts on the simulated NPU."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from npu_torch.commands._output import fail


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "demo", help="complete four prompts with a small Llama on the simulated NPU"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _milliseconds(nanoseconds: float) -> str:
    return f"{nanoseconds * 1e-6:,.3f} ms"


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for prompt, completion in zip(report["prompts"], report["completions"], strict=True):
        console.print(prompt, style="bold", end="", markup=False, highlight=False)
        console.print(completion, markup=False, highlight=False)
        console.rule()

    table = Table(title=f"Simulated machine {report['arch']}, {report['dtype']}", show_header=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    rows = {
        "time to first token (simulated)": _milliseconds(report["ttft_ns"]),
        "tokens a second (simulated)": f"{report['tokens_per_s']:,.0f}",
        "prefill bound by": report["prefill_bound_by"],
        "decode bound by": report["decode_bound_by"],
        "device busy": f"{report['device_busy']:.1%} of simulated time",
        "matrix utilisation": f"{report['matrix_utilization']:.2%} of the 16-bit peak, while busy",
        "HBM bandwidth": f"{report['hbm_utilization']:.1%} of peak, while busy",
        "launches": f"{report['launches']:,}",
        "fallbacks to the CPU": str(report["fallbacks"] or "none"),
        "tokens equal the CPU's": "yes" if report["tokens_equal_cpu"] else "NO",
        "wall time on this host": f"{report['wall_s']:.2f} s (CPU: {report['cpu_wall_s']:.2f} s)",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)

    kernels = Table(title="Costliest kernels (simulated)")
    for heading in ("kernel", "launches", "time", "share", "bound by"):
        kernels.add_column(
            heading, justify="left" if heading in ("kernel", "bound by") else "right"
        )
    for row in report["kernels"]:
        kernels.add_row(
            row["kernel"],
            f"{row['launches']:,}",
            _milliseconds(row["device_ns"]),
            f"{row['share']:.1%}",
            row["bound_by"],
        )
    console.print(kernels)


def run(args: argparse.Namespace) -> int:
    """Run the demo with a progress bar on standard error; print its report."""
    import logging
    import os

    # Progress bars of the checkpoint loader would mix with ours.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    from rich.console import Console
    from rich.progress import Progress

    from npu_torch.demo.run import NEW_TOKENS, run_demo

    with Progress(console=Console(stderr=True), transient=True) as progress:
        tasks = {
            device: progress.add_task(f"generating on {device}", total=NEW_TOKENS)
            for device in ("cpu", "npu")
        }
        try:
            report = run_demo(lambda device: progress.advance(tasks[device]))
        except RuntimeError as error:
            return fail("demo", error)
    if args.json:
        json.dump(report, sys.stdout)
        print()
    else:
        _print(report)
    return 0 if report["tokens_equal_cpu"] and not report["fallbacks"] else 1

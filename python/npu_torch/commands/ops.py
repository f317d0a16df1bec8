"""`npu-torch ops`: which operators of PyTorch's database run natively, and what the others hit."""

from __future__ import annotations

import argparse
import collections
import json
import sys
from typing import Any

_DTYPES = ("float32", "bfloat16", "int64")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "ops",
        help="which PyTorch operators run natively and which fall back to the CPU",
        description="Runs the samples of PyTorch's operator database on the device. An operator "
        "is native when none of its samples in the dtype touches the fallback. Needs the packages "
        "of requirements-dev.txt.",
    )
    parser.add_argument("--dtype", choices=_DTYPES, default="float32")
    parser.add_argument("--op", action="append", metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--processes", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument(
        "--timeout", type=float, default=120.0, help="seconds for one operator (default 120)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Survey, print, and return 0, or 2 for an operator that the database lacks."""
    from npu_torch.inventory import database, pool

    operators = database.operators()
    names = [
        name
        for name, op in operators.items()
        if database.DTYPES[args.dtype] in op.dtypes
        and (not args.op or op.name in args.op or name in args.op)
    ]
    missing = [
        wanted
        for wanted in args.op or ()
        if wanted not in operators and all(op.name != wanted for op in operators.values())
    ]
    if missing:
        print(f"npu-torch ops: op_db has no operator {', '.join(missing)}", file=sys.stderr)
        return 2
    rows: dict[str, dict[str, Any]] = {}
    tasks = [{"name": name, "dtype_name": args.dtype} for name in names]
    for task, result in pool.map_tasks(
        "survey", tasks, processes=args.processes, timeout=args.timeout
    ):
        if isinstance(result, Exception):
            result = {"status": "error", "samples": 0, "fallbacks": {}, "error": str(result)}
        op = operators[task["name"]]
        rows[task["name"]] = {"name": op.name, "variant": op.variant_test_name, **result}
        if sys.stderr.isatty():
            print(f"\r{len(rows)}/{len(names)}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    report = {
        "dtype": args.dtype,
        "summary": _summary(rows.values()),
        "ops": [rows[name] for name in sorted(rows)],
    }
    if args.json:
        print(json.dumps(report))
    else:
        _print_table(report)
    return 0


def _summary(rows: Any) -> dict[str, int]:
    counts = collections.Counter(row["status"] for row in rows)
    statuses = ("native", "fallback", "error", "unsupported dtype")
    return {"total": sum(counts.values()), **{status: counts[status] for status in statuses}}


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("operator", "variant", "status", "on the CPU"):
        table.add_column(column, overflow="fold")
    for row in report["ops"]:
        fallbacks = ", ".join(f"{op} x{count}" for op, count in sorted(row["fallbacks"].items()))
        table.add_row(row["name"], row["variant"], row["status"], row["error"] or fallbacks)
    console = Console(highlight=False)
    console.print(table)
    summary = ", ".join(f"{count} {name}" for name, count in report["summary"].items())
    console.print(f"\n{report['dtype']}: {summary}")

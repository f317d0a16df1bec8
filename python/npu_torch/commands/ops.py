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
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object on standard output")
    form.add_argument(
        "--markdown", action="store_true", help="the page docs/ops.md, which covers all dtypes"
    )


def run(args: argparse.Namespace) -> int:
    """Survey, print, and return 0, or 2 for an operator that the database lacks."""
    from npu_torch.inventory import database

    operators = database.operators()
    known = {op.name for op in operators.values()} | set(operators)
    missing = sorted(set(args.op or ()) - known)
    if missing:
        print(f"npu-torch ops: op_db has no operator {', '.join(missing)}", file=sys.stderr)
        return 2
    if args.markdown:
        _print_markdown([_report(args, dtype) for dtype in _DTYPES])
    elif args.json:
        print(json.dumps(_report(args, args.dtype)))
    else:
        _print_table(_report(args, args.dtype))
    return 0


def _report(args: argparse.Namespace, dtype: str) -> dict[str, Any]:
    from npu_torch.inventory import database, pool

    operators = database.operators()
    names = [
        name
        for name in database.names(database.DTYPES[dtype])
        if not args.op or operators[name].name in args.op or name in args.op
    ]
    rows: dict[str, dict[str, Any]] = {}
    tasks = [{"name": name, "dtype_name": dtype} for name in names]
    for task, result in pool.map_tasks(
        "survey", tasks, processes=args.processes, timeout=args.timeout
    ):
        if isinstance(result, Exception):
            result = {"status": "error", "samples": 0, "fallbacks": {}, "error": str(result)}
        op = operators[task["name"]]
        rows[task["name"]] = {"name": op.name, "variant": op.variant_test_name, **result}
        if sys.stderr.isatty():
            print(f"\r{dtype} {len(rows)}/{len(names)}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return {
        "dtype": dtype,
        "summary": _summary(rows.values()),
        "ops": [rows[name] for name in sorted(rows)],
    }


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


def _print_markdown(reports: list[dict[str, Any]]) -> None:
    print(_PAGE_HEAD)
    print("| dtype | operators | native | fallback | error | no samples |")
    print("|---|---|---|---|---|---|")
    for report in reports:
        print(f"| {report['dtype']} | " + " | ".join(map(str, report["summary"].values())) + " |")
    print("\n## Not native in float32\n\n| on the CPU | reached from |\n|---|---|")
    callers: dict[str, list[str]] = {}
    for row in reports[0]["ops"]:
        name = f"{row['name']} ({row['variant']})" if row["variant"] else row["name"]
        for fallback in row["fallbacks"]:
            callers.setdefault(fallback, []).append(name)
    for fallback, names in sorted(callers.items()):
        print(f"| `{fallback}` | {', '.join(names)} |")
    failing = [row for row in reports[0]["ops"] if row["status"] == "error"]
    if failing:
        print(
            "\nNot possible, as the device has no sparse layouts: "
            + ", ".join(sorted({row["name"] for row in failing}))
            + "."
        )


_PAGE_HEAD = """\
# Operators

`npu-torch ops` runs every operator of PyTorch's own `op_db` on the device, in worker processes that
survive a crash, and says for each whether it runs natively (no sample of it touches the fallback)
or which operators it sends to the CPU:

```
npu-torch ops                      # all of them in float32: half a minute
npu-torch ops --op softmax --json  # one operator
npu-torch ops --markdown           # this page
```

Decompositions of linear algebra, Fourier transforms and complex numbers, convolution, some special
functions and sparse layouts run on the CPU; the fallback counts them (`torch.npu.fallback_stats()`)
and pays for their transfers. "No samples" are operators whose samples exist for other devices only.

The parity suite (`tests/python/parity`) compares every registered operator with the CPU, at
`op_db`'s tolerances, in float32, bfloat16 and int64: forward, `out=`, in-place and non-contiguous.
A result that is not the CPU's must be as near to what the CPU computes in the next wider type as
the CPU's own is. `make test` runs a seeded sample of the suite, `make test-all` the whole.
"""

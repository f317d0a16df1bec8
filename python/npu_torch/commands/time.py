"""`npu-torch time`: how long one library kernel takes on a machine, without tensor data."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time

from npu_torch.commands._output import fail, print_table


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "time", help="simulated time of one kernel at a given shape, without touching tensor data"
    )
    parser.add_argument("kernel", choices=["gemm"], help="the kernel")
    parser.add_argument("sizes", help="gemm: MxKxN, such as 4096x4096x4096")
    parser.add_argument("--dtype", default="bf16", help="f64, f32, f16, bf16, i64, i32, i16, i8")
    parser.add_argument(
        "--arch",
        default=os.environ.get("NPU_ARCH", "n1"),
        help="machine: preset or path of a file (default: NPU_ARCH, else n1)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the machine file: hbm.bandwidth_gbps=1200, or =x0.5 for a factor",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


# Of one dimension: the multiply-accumulates of a cube still fit 64 bits.
MOST = 2**20


def _sizes(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if match is None:
        raise ValueError(f"sizes '{text}': expected MxKxN, such as 64x4096x14336")
    m, k, n = (int(part) for part in match.groups())
    if not all(1 <= size <= MOST for size in (m, k, n)):
        raise ValueError(f"sizes '{text}': each must be from 1 to {MOST:,}")
    return m, k, n


def run(args: argparse.Namespace) -> int:
    """Time the kernel and print what the timer says."""
    try:
        m, k, n = _sizes(args.sizes)
        from npu_torch import _C

        types = dict(_C.data_types())
        if args.dtype not in types:
            raise ValueError(f"dtype '{args.dtype}'; allowed are {', '.join(types)}")
        start = time.perf_counter()
        result = _C.time_gemm(m, k, n, types[args.dtype], args.arch, args.set)
        wall_ms = (time.perf_counter() - start) * 1e3
    except (ValueError, RuntimeError) as error:
        return fail("time", error)
    result = {
        "kernel": args.kernel,
        "sizes": args.sizes,
        "dtype": args.dtype,
        "arch": args.arch,
        **result,
        "wall_ms": wall_ms,
    }
    if args.json:
        json.dump(result, sys.stdout)
        print()
    else:
        print_table(f"{args.kernel} {args.sizes} {args.dtype} on {args.arch}", result)
    return 0

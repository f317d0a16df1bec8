"""`npu-torch disasm`: the tile program of a library kernel, in text form."""

from __future__ import annotations

import argparse
import json
import os
import sys

from npu_torch.commands._output import fail


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "disasm", help="print a library kernel's program, or list the kernels"
    )
    parser.add_argument("kernel", nargs="?", help="a kernel's name; none lists them")
    parser.add_argument(
        "--arch",
        default=os.environ.get("NPU_ARCH", "n1"),
        help="machine that the program is built for: preset or path (default: NPU_ARCH, else n1)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the names, or one kernel's text."""
    from npu_torch import _C

    try:
        if args.kernel is None:
            kernels = dict(_C.kernels())
            if args.json:
                json.dump(kernels, sys.stdout)
                print()
            else:
                width = max(map(len, kernels))
                for name, summary in kernels.items():
                    print(f"{name:{width}}  {summary}")
            return 0
        text = _C.kernel_text(args.kernel, args.arch)
    except (ValueError, RuntimeError) as error:
        return fail("disasm", error)
    if args.json:
        json.dump({"kernel": args.kernel, "arch": args.arch, "text": text}, sys.stdout)
        print()
    else:
        print(text, end="")
    return 0

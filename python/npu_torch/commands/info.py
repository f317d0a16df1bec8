"""`npu-torch info`: the devices, their machine and the environment."""

from __future__ import annotations

import argparse
import json
import os
import sys

from npu_torch.commands._output import fail, print_table


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser("info", help="the device, its machine file and the environment")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what this process would run on."""
    import torch

    import npu_torch
    from npu_torch import _C

    try:
        torch.npu.init()
        count = torch.npu.device_count()
        info: dict[str, object] = {
            "npu_torch": npu_torch.__version__,
            "torch": torch.__version__,
            "devices": count,
            **(_C.device_properties(0) if count else {}),
            **{name: value for name, value in os.environ.items() if name.startswith("NPU_")},
        }
    except (ValueError, RuntimeError) as error:
        return fail("info", error)
    if args.json:
        json.dump(info, sys.stdout)
        print()
    else:
        print_table("npu_torch", info)
    return 0

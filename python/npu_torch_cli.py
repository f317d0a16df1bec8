"""The command line `npu-torch`.

It stands outside the package `npu_torch`, whose import loads PyTorch: a wrong option or `--help`
is answered at once, and also where PyTorch does not load.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

# Name to summary; the command itself is the module npu_torch.commands.<name>.
COMMANDS = {
    "demo": "complete four prompts with a small Llama on the simulated NPU",
    "time": "simulated time of one kernel at a given shape, without touching tensor data",
    "disasm": "print a library kernel's program, or list the kernels",
    "ops": "which PyTorch operators run natively and which fall back to the CPU",
    "info": "the device, its machine file and the environment",
}


def _chosen(argv: Sequence[str]) -> str | None:
    first = next((arg for arg in argv if not arg.startswith("-")), None)
    return first if first in COMMANDS else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; only the chosen command's module is imported."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="npu-torch", description="Tools for the simulated NPU and its PyTorch device."
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = _chosen(argv)
    module = importlib.import_module(f"npu_torch.commands.{chosen}") if chosen else None
    for name, summary in COMMANDS.items():
        if module is not None and name == chosen:
            module.register(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    args = parser.parse_args(argv)
    assert module is not None  # argparse has rejected everything but a known command
    return int(module.run(args))


if __name__ == "__main__":
    sys.exit(main())

"""The subcommands of `npu-torch`, a module each.

A module defines `register(subparsers)`, which adds its parser, and `run(args) -> int`, which
returns the exit status. `python/npu_torch_cli.py` lists the commands.
"""

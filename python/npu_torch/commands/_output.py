"""What the commands share: errors on standard error, small tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def fail(command: str, error: Exception) -> int:
    """Say what is wrong and return the exit status of a failed command."""
    # PyTorch appends a C++ stack to some messages; its first line is the message.
    print(f"npu-torch {command}: {str(error).splitlines()[0]}", file=sys.stderr)
    return 2


def readable(value: object) -> str:
    """Numbers with thousands separators and four significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def print_table(title: str, rows: Mapping[str, object]) -> None:
    """A two-column table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in rows.items():
        table.add_row(name, readable(value))
    Console().print(table)

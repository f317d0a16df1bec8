"""What the commands share: errors on standard error, small tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence


def fail(command: str, error: Exception) -> int:
    """Say what is wrong and return the exit status of a failed command."""
    # PyTorch appends a C++ stack to some messages; its first line is the message.
    print(f"npu-torch {command}: {str(error).splitlines()[0]}", file=sys.stderr)
    return 2


def readable(value: object) -> str:
    """Numbers with thousands separators and four significant digits; mappings entry by entry."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {readable(entry)}" for name, entry in value.items())
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


def print_columns(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table with a heading over each column; numbers stand to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, name in enumerate(names):
        numbers = all(isinstance(row[i], int | float) for row in rows)
        table.add_column(name, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*map(readable, row))
    Console().print(table)

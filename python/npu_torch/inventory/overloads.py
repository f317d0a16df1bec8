"""Which of the dispatcher's operators are called, and which the device registers."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class RecordOverloads(TorchDispatchMode):
    """Collects the names, such as "aten::add.out", of what is called within the `with` block."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.random = False  # whether any of them draws random numbers

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note the operator and run it."""
        self.names.add(
            func._schema.name + ("." + name if (name := func._overloadname) != "default" else "")
        )
        self.random |= torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


def registered() -> set[str]:
    """The ATen operators that the device registers kernels for."""
    names = torch._C._dispatch_get_registrations_for_dispatch_key("PrivateUse1")
    return {name for name in names if name.startswith("aten::")}

"""Samples for registered operators that no entry of op_db calls."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.testing._internal.opinfo.core import SampleInput

FLOATS = (torch.float32, torch.bfloat16)
ALL = (*FLOATS, torch.int64)


class Operator:
    """What the comparison needs of an entry of op_db, for one overload of the dispatcher."""

    variant_test_name = ""
    supports_out = False
    decorators = ()

    def __init__(
        self,
        name: str,
        samples: Callable[[torch.dtype], list[tuple[Any, ...]]],
        dtypes: tuple[torch.dtype, ...] = FLOATS,
    ) -> None:
        """Name as in "aten::add.out"; samples are arguments, a last dict among them by name."""
        self.name = name
        self.dtypes = set(dtypes)
        self._samples = samples
        base, _, overload = name.removeprefix("aten::").partition(".")
        self.op = getattr(getattr(torch.ops.aten, base), overload or "default")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.op(*args, **kwargs)

    def get_inplace(self) -> None:
        return None

    def sample_inputs(
        self, device: str, dtype: torch.dtype, requires_grad: bool
    ) -> Iterator[SampleInput]:
        for arguments in self._samples(dtype):
            named = arguments[-1] if isinstance(arguments[-1], dict) else {}
            values = arguments[: len(arguments) - bool(named)]
            yield SampleInput(values[0], args=tuple(values[1:]), kwargs=named)


OPERATORS: dict[str, Operator] = {}

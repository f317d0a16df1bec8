"""What tests of single ops share: the same call on the CPU, and no fallback on the device."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map


def to_device(tree: Any, device: str) -> Any:
    return tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, tree)


@pytest.fixture(autouse=True)
def same_numbers_in_every_run() -> None:
    # Of 16-bit sums the CPU's own are not always within the tolerance.
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_fallback() -> Iterator[None]:
    torch.npu.reset_fallback_stats()
    yield
    assert torch.npu.fallback_stats() == {}


Same = Callable[..., None]


@pytest.fixture
def same() -> Same:
    """same(op, *args, **kwargs): the device gives what the CPU gives."""

    def check(op: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        expected = op(*args, **kwargs)
        actual = op(*to_device(args, "npu"), **to_device(kwargs, "npu"))
        torch.testing.assert_close(to_device(actual, "cpu"), expected, equal_nan=True)

    return check

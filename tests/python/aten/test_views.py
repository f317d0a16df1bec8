"""Operands that begin at one address but walk memory differently are different operands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

TYPES = [torch.float32, torch.bfloat16, torch.int32]
Views = Callable[[torch.Tensor], torch.Tensor]


def rows_apart_and_together(x: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(x[::2], x[: x.size(0) // 2], x[::2])


def columns_of_both_kinds(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x[:, :1], x[0][:, None])


def bounds_of_both_kinds(x: torch.Tensor) -> torch.Tensor:
    return torch.clamp(x, x[:, :1], x[0][:, None])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "operation", [rows_apart_and_together, columns_of_both_kinds, bounds_of_both_kinds]
)
def test_views_of_one_address(operation: Views, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for size in (100, 300):
        x = (torch.randn(size, size) * 4).to(dtype)
        torch.testing.assert_close(operation(x.to("npu")).cpu(), operation(x))


def test_large_results_go_past_the_caches() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 4000)
    assert bounds_of_both_kinds(x.to("npu")).cpu().equal(bounds_of_both_kinds(x))


def test_losses_of_views_of_one_address() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 256).bfloat16()
    y = x.to("npu")
    torch.testing.assert_close(F.mse_loss(y[::2], y[:128]).cpu(), F.mse_loss(x[::2], x[:128]))

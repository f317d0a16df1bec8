"""Python numbers beside tensors: rounded, wrapped and refused as on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

CASES: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = [
    ("half == 0.1", lambda x: x == 0.1, torch.tensor([0.1], dtype=torch.float16)),
    ("bfloat16 <= 0.1", lambda x: x <= 0.1, torch.tensor([0.1], dtype=torch.bfloat16)),
    ("bfloat16 % 0.3", lambda x: x % 0.3, torch.linspace(-3, 3, 40, dtype=torch.bfloat16)),
    ("bfloat16 ** 1.7", lambda x: x**1.7, torch.linspace(0, 3, 40, dtype=torch.bfloat16)),
    ("bfloat16 * 0.1", lambda x: x * 0.1, torch.linspace(-3, 3, 40, dtype=torch.bfloat16)),
    ("uint8 > -1", lambda x: x > -1, torch.tensor([250], dtype=torch.uint8)),
    ("int32 < 2**40", lambda x: x < 2**40, torch.tensor([5], dtype=torch.int32)),
    ("int8 // 200", lambda x: x // 200, torch.tensor([100, -7], dtype=torch.int8)),
    ("int64 > 2**53", lambda x: x > 2**53, torch.tensor([2**53, 2**53 + 1])),
]


@pytest.mark.parametrize(("function", "x"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_equals_the_cpu(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> None:
    torch.testing.assert_close(function(x.to("npu")).cpu(), function(x))


ROUNDED_VALUES = [
    (torch.tensor([[257], [3]]), torch.tensor([256, 258, 3], dtype=torch.bfloat16)),
    (torch.tensor([2049, 5], dtype=torch.int32), torch.tensor([2048, 5], dtype=torch.float16)),
    (torch.tensor(1.0001), torch.ones(2, dtype=torch.bfloat16)),
    (torch.tensor(-6e21, dtype=torch.bfloat16), torch.tensor([-torch.inf], dtype=torch.float16)),
    (torch.tensor(-93), torch.tensor([68, 163], dtype=torch.uint8)),
    (torch.tensor(0.1, dtype=torch.float64), torch.tensor([0.1])),
]


@pytest.mark.parametrize(("value", "x"), ROUNDED_VALUES, ids=lambda x: str(x.dtype))
def test_values_are_rounded_to_the_common_dtype_first(value: torch.Tensor, x: torch.Tensor) -> None:
    for compare in (torch.eq, torch.lt, torch.le, torch.maximum, torch.add):
        on_device = compare(value.to("npu"), x.to("npu"))
        torch.testing.assert_close(on_device.cpu(), compare(value, x), rtol=0, atol=0)


def test_a_fraction_is_true_where_a_mask_fills_booleans() -> None:
    x, mask = torch.tensor([False, False]), torch.tensor([True, False])
    filled = x.to("npu").masked_fill(mask.to("npu"), 0.5)
    assert torch.equal(filled.cpu(), x.masked_fill(mask, 0.5))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.fill_(300),
        lambda x: x.clamp(max=300),
        lambda x: torch.full_like(x, 300),
        lambda x: x.masked_fill_(x > 0, 300),
    ],
    ids=["fill_", "clamp", "full_like", "masked_fill_"],
)
def test_values_that_do_not_fit_are_refused(function: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(RuntimeError, match="without overflow"):
        function(torch.ones(2, dtype=torch.uint8, device="npu"))


def test_a_product_of_mixed_dtypes_is_refused() -> None:
    x = torch.ones(2, 2, device="npu")
    with pytest.raises(RuntimeError, match="same dtype") as error:
        torch.mm(x, x.half())
    assert type(error.value) is RuntimeError

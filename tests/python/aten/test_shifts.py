"""Python's shift operators, which are operators of their own beside bitwise_left_shift."""

import operator

import pytest
import torch


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8])
@pytest.mark.parametrize("shift", [operator.lshift, operator.rshift])
def test_shifts_equal_the_cpus(dtype, shift):
    values = torch.tensor([[1, 2, 100], [7, 90, 3]], dtype=dtype)
    by = torch.tensor([0, 1, 2], dtype=dtype)
    for other in (by, 3):
        on_device = other.to("npu") if isinstance(other, torch.Tensor) else other
        result = shift(values.to("npu"), on_device)
        torch.testing.assert_close(result.cpu(), shift(values, other), rtol=0, atol=0)


def test_shifts_in_place():
    values = torch.tensor([1, 2, 3]).to("npu")
    values <<= 4
    values >>= torch.tensor([1, 2, 3]).to("npu")
    assert values.tolist() == [8, 8, 6]


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_shifts_of_other_numbers_are_refused(dtype):
    for device in ("cpu", "npu"):
        with pytest.raises(RuntimeError):
            torch.ones(2, dtype=dtype, device=device) << 1

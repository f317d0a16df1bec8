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


def test_shifts_of_floats_are_refused():
    for device in ("cpu", "npu"):
        with pytest.raises(RuntimeError):
            torch.ones(2, device=device) << 1


def test_complex_numbers_go_to_the_counted_fallback_which_refuses_them():
    ones = torch.ones(2, dtype=torch.complex64).to("npu")
    with pytest.raises(RuntimeError):
        ones << 1
    assert torch.npu.fallback_stats() == {"aten::__lshift__.Scalar": 1}
    torch.npu.reset_fallback_stats()

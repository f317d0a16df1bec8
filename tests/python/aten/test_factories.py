import pytest
import torch

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.float64]


def made(factory, *args, **kwargs):
    expected = factory(*args, **kwargs)
    actual = factory(*args, **kwargs, device="npu")
    assert actual.device.type == "npu"
    torch.testing.assert_close(actual.cpu(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges(dtype):
    made(torch.arange, 1000, dtype=dtype) if dtype != torch.bfloat16 else None
    made(torch.arange, 3, 50, 7, dtype=dtype)
    made(torch.arange, 10, -10, -3, dtype=dtype)
    made(torch.linspace, -3, 10, 14, dtype=dtype)
    made(torch.linspace, 0, 100, 33, dtype=dtype)
    made(torch.linspace, 0, 1, 1, dtype=dtype)
    made(torch.linspace, 0, 1, 0, dtype=dtype)
    made(torch.logspace, 0, 3, 4, dtype=dtype)
    made(torch.full, (3, 4), 7, dtype=dtype)
    made(torch.eye, 4, 6, dtype=dtype)
    made(torch.eye, 5, dtype=dtype)


def test_real_ranges():
    made(torch.arange, 0.5, 9, 0.25)
    made(torch.arange, 0, 100000, dtype=torch.float32)
    made(torch.range, 0, 5, 0.5)
    made(torch.tril_indices, 4, 6, 1)
    made(torch.triu_indices, 6, 4, -1)
    made(torch.zeros, 3, 4, dtype=torch.complex64)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool])
def test_triangles_and_fills(dtype, same):
    x = torch.ones(3, 5, 7, dtype=dtype)
    for diagonal in (-2, 0, 3):
        same(torch.tril, x, diagonal)
        same(torch.triu, x.transpose(1, 2), diagonal)
    same(lambda x: x.clone().fill_(0), x)
    same(lambda x: x.clone().zero_(), x)
    same(lambda x: x.clone().t().zero_(), x[0])
    same(lambda x: x.clone().fill_(x[0, 0, 0]), x)
    same(lambda x: torch.full_like(x, 1)[:, ::2].zero_(), x)
    same(torch.trace, x[0].float())
    same(torch.diag_embed, x)
    same(torch.diag, x[0, 0])


def test_a_value_of_the_host():
    x = torch.zeros(4, device="npu")
    x.fill_(torch.tensor(3))
    x[1:2] = torch.tensor(5)
    assert x.tolist() == [3, 5, 3, 3]

import pytest
import torch

DTYPES = [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float64, torch.uint8]
NAN = float("nan")


def tensor(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.randint(0, 99, shape)
    return values > 50 if dtype == torch.bool else values.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sort(dtype, same):
    x = tensor(4, 60, 3, dtype=dtype)
    for dim in range(3):
        for descending in (False, True):
            same(torch.sort, x, dim=dim, descending=descending, stable=True)
    same(torch.sort, x.transpose(0, 2), dim=1, stable=True)
    same(torch.argsort, x, dim=1, stable=True)
    same(torch.msort, x)
    same(torch.sort, x[0, 0, 0])
    same(torch.sort, x[:, :0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.float64])
def test_topk(dtype, same):
    x = torch.stack([torch.randperm(200) for _ in range(6)]).to(dtype)
    for largest in (True, False):
        same(lambda x, largest: torch.topk(x, 9, largest=largest).values, x, largest)
        same(lambda x, largest: torch.topk(x.t(), 9, 0, largest=largest).values, x, largest)
    values, indices = torch.topk(x.npu(), 5)
    assert torch.equal(x.npu().gather(1, indices), values)
    same(torch.topk, x[:, :1], 0)


def test_topk_of_a_vocabulary(same):
    same(torch.topk, torch.randperm(151936).float(), 50)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_order_statistics(dtype, same):
    x = torch.stack([torch.randperm(35) for _ in range(6)]).to(dtype)
    for dim in (0, 1):
        for keepdim in (False, True):
            same(lambda *a: torch.kthvalue(*a).values, x, 3, dim, keepdim)
            same(lambda *a: torch.median(*a).values, x, dim, keepdim)
            same(lambda *a: torch.nanmedian(*a).values, x, dim, keepdim)
    same(torch.median, x)
    same(torch.median, x[0], 0)
    same(torch.median, x[0, 0])


def test_medians_and_nan(same):
    x = torch.tensor([[1.0, NAN, 3, 2], [NAN, NAN, NAN, NAN], [4.0, 2, 1, 3]])
    same(lambda x: torch.median(x, 1).values, x)
    same(lambda x: torch.nanmedian(x, 1).values, x)
    same(torch.median, x)
    same(torch.nanmedian, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_mode(dtype, same):
    x = tensor(5, 40, dtype=dtype) // 20 if dtype != torch.bool else tensor(5, 40, dtype=dtype)
    same(lambda x: torch.mode(x, 1).values, x)
    same(lambda x: torch.mode(x, 0, keepdim=True).values, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8])
def test_search(dtype, same):
    line, x = tensor(3, 20, dtype=dtype).sort().values, tensor(3, 50, dtype=dtype)
    for right in (False, True):
        for out_int32 in (False, True):
            same(torch.searchsorted, line, x, right=right, out_int32=out_int32)
            same(torch.bucketize, x, line[0], right=right, out_int32=out_int32)
    same(torch.searchsorted, line[0], x.t())
    same(torch.searchsorted, line[0], 17)
    same(torch.bucketize, 17, line[0])
    order = torch.randperm(20)
    shuffled = torch.empty_like(line[0]).scatter_(0, order, line[0])
    same(torch.searchsorted, shuffled, x, sorter=order, side="right")


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_sets(dtype, same):
    x, y = tensor(8, 9, dtype=dtype), tensor(20, dtype=dtype)
    for invert in (False, True):
        same(torch.isin, x, y, invert=invert)
        same(torch.isin, x, 7, invert=invert)
        same(torch.isin, 7, y, invert=invert)
    z = x // 20
    flags = {"return_inverse": True, "return_counts": True}
    same(torch.unique, z, **flags)
    same(torch.unique, z[:, :2], dim=0, **flags)
    same(torch.unique, z[:2], dim=1, **flags)
    same(torch.unique_consecutive, z, **flags)
    same(torch.unique_consecutive, z[:, :1], dim=0, **flags)
    same(torch.unique, z[:0], **flags)


def test_histograms(same):
    x = torch.randint(0, 30, (500,))
    same(torch.bincount, x)
    same(torch.bincount, x, minlength=50)
    same(torch.bincount, x, torch.rand(500, dtype=torch.float64))
    same(torch.histc, torch.randn(1000), 20, -2, 2)
    same(torch.histc, x.float(), 7)
    same(torch.nn.functional.one_hot, x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_joining(dtype, same):
    x, y = tensor(3, 4, dtype=dtype), tensor(3, 2, dtype=dtype)
    same(torch.cat, [x, y, x], 1)
    same(torch.cat, [x.t(), y.t()], 0)
    same(torch.cat, [x, torch.empty(0, dtype=dtype)])
    same(torch.stack, [x, x + x], 2)
    same(torch.flip, x, (0, 1))
    same(torch.flip, x.t(), (1,))
    same(torch.rot90, x)
    same(torch.roll, x, (1, -1), (0, 1))
    same(torch.roll, x, 5)
    same(torch.repeat_interleave, x, torch.tensor([2, 0, 3]), 0)
    same(torch.repeat_interleave, x, 2)
    same(torch.equal, x, x.clone())
    same(torch.equal, x, y)
    same(torch.cat, [x, y.double()], 1)


def test_joining_complex():
    x = torch.randn(3, 2, dtype=torch.complex64)
    assert torch.equal(torch.cat([x.npu(), x.npu()]).cpu(), torch.cat([x, x]))

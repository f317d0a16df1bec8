import pytest
import torch

DTYPES = [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float64, torch.uint8]
REDUCTIONS = ["sum", "prod", "amax", "amin", "mean"]


def tensor(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.randint(0, 9, shape)
    return values > 4 if dtype == torch.bool else values.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_advanced_indexing(dtype, same):
    x = tensor(5, 6, 7, dtype=dtype)
    i, j = torch.tensor([0, -1, 3, 4]), torch.tensor([[1], [-6], [5]])
    mask = torch.rand(5, 6) > 0.5
    same(lambda x, i: x[i], x, i)
    same(lambda x, i: x[:, i], x, i)
    same(lambda x, i: x[..., i], x, i)
    same(lambda x, i, j: x[i, j], x, i, j)
    same(lambda x, i, j: x[i, :, j], x, i, j)
    same(lambda x, i, j: x[i, j, i], x, i, j)
    same(lambda x, mask: x[mask], x, mask)
    same(lambda x, mask, i: x[mask, 2], x, mask, i)
    same(lambda x, i: x.transpose(0, 2)[i.to(torch.int32)], x, i)
    same(lambda x: x[torch.empty(0, dtype=torch.int64, device=x.device)], x)


def test_an_index_for_each_of_many_dimensions(same):
    x, i = tensor(*[2] * 12), torch.tensor([0, 1, -1])
    same(lambda x, i: x[(i,) * 12], x, i)
    same(lambda x, i: x.index_put((i,) * 12, i.to(x.dtype), accumulate=True), x, i)


@pytest.mark.parametrize("dtype", DTYPES)
def test_advanced_assignment(dtype, same):
    x, i = tensor(5, 6, 7, dtype=dtype), torch.tensor([0, -1, 3])

    def assign(x, i, value):
        y = x.clone()
        y[i, :, i] = value
        y[y == 3] = 1
        y[:, i] = y[:, i] + y[:, i]
        return y

    same(assign, x, i, tensor(3, 6, dtype=dtype))
    same(assign, x, i, tensor(1, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_assignment_accumulates(dtype, same):
    i = torch.tensor([0, 1, 1, -1, 0])
    same(torch.index_put, tensor(4, 9, dtype=dtype), (i,), tensor(5, 9, dtype=dtype), True)
    same(torch.index_put, tensor(9, 4, dtype=dtype).t(), (i,), tensor(9, dtype=dtype), True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_selection_along_a_dimension(dtype, same):
    x = tensor(4, 50, 6, dtype=dtype)
    for dim in range(-1, 2):
        index = torch.randint(0, x.size(dim), (8,))
        same(torch.index_select, x, dim, index)
        same(torch.index_select, x.transpose(0, 2), dim, index.clamp(max=3).to(torch.int32))
        places = torch.randint(0, x.size(dim), (4, 3, 6))
        same(torch.gather, x, dim, places)
        same(torch.take_along_dim, x, torch.randint(0, x.size(dim), x.shape), dim)
    same(torch.index_select, x[0, 0, 0], 0, torch.tensor([0]))
    same(torch.take, x, torch.tensor([[0, -1], [77, 3]]))
    same(torch.take, x.transpose(0, 2), torch.tensor([5, 100]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scatter(dtype, same):
    x, src = tensor(6, 8, dtype=dtype), tensor(6, 9, dtype=dtype)
    for dim in (0, 1):
        index = torch.rand(6, 8).argsort(dim)[:5, :7]
        same(torch.scatter, x, dim, index.contiguous(), src)
        same(torch.scatter, x, dim, index.contiguous(), 1)
    same(torch.scatter_add, x, 1, torch.randint(0, 8, (6, 9)), src)
    same(torch.scatter, torch.tensor(3), 0, torch.tensor(0), 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce(dtype, include_self, same):
    x, src = tensor(6, 8, dtype=dtype), tensor(6, 8, dtype=dtype)
    index = torch.randint(0, 6, (6, 8))
    for reduce in REDUCTIONS:
        same(torch.scatter_reduce, x, 0, index, src, reduce, include_self=include_self)
    if include_self:
        for reduce in ("add", "multiply"):
            same(torch.scatter, x, 0, index, src, reduce=reduce)
            same(torch.scatter, x, 0, index, 2, reduce=reduce)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_rows(dtype, same):
    for dim in range(3):
        x = tensor(4, 5, 6, dtype=dtype)
        index = torch.randint(0, x.size(dim), (7,))
        shape = [4, 5, 6]
        shape[dim] = 7
        src = tensor(*shape, dtype=dtype)
        same(torch.index_add, x, dim, index, src, alpha=2)
        same(torch.index_fill, x, dim, index - x.size(dim), 3)
        same(torch.index_copy, x, dim, torch.tensor([2, 0, 3]), src.narrow(dim, 0, 3))
        for reduce in ("prod", "mean", "amax", "amin"):
            for include_self in (True, False):
                same(torch.index_reduce, x, dim, index, src, reduce, include_self=include_self)


def test_put(same):
    index = torch.tensor([[0, -1], [3, 3]])
    for accumulate in (False, True):
        src = torch.tensor([[1.0, 2.0], [5.0, 5.0]])
        same(torch.put, torch.zeros(3, 4), index, src, accumulate)
        same(torch.put, torch.zeros(3, 4).t(), index, src, accumulate)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks(dtype, same):
    x, mask = tensor(50, 7, dtype=dtype), torch.rand(50, 7) > 0.4
    same(torch.masked_fill, x, mask, 1)
    same(torch.masked_fill, x, mask[:, :1], tensor(1, dtype=dtype)[0])
    same(torch.masked_select, x, mask)
    same(torch.masked_select, x, mask[0])
    same(torch.masked_scatter, x, mask, tensor(400, dtype=dtype))
    same(torch.nonzero, x)
    same(torch.nonzero, x.t())
    same(torch.nonzero_static, x, size=400, fill_value=-2)
    same(torch.argwhere, x[0, 0])
    same(torch.where, mask)


def test_embedding(same):
    weight, index = torch.randn(30, 16), torch.randint(0, 30, (4, 9))
    same(torch.nn.functional.embedding, index, weight)
    grad = torch.randn(4, 9, 16)
    for padding in (-1, 3):
        for scale in (False, True):
            same(torch.ops.aten.embedding_dense_backward, grad, index, 30, padding, scale)


def test_an_index_out_of_range_names_the_kernel(run_python):
    result = run_python(
        """
        import torch, npu_torch
        x = torch.zeros(4, 8, device="npu")
        try:
            torch.index_select(x[:3], 0, torch.tensor([3], device="npu")).cpu()
        except RuntimeError as error:
            assert "kernel 'index_select'" in str(error), error
            assert "d.gather" in str(error), error
            print("failed as it should")
        """
    )
    assert "failed as it should" in result.stdout, result.stderr


def test_masked_fill_makes_no_copy_first() -> None:
    x, mask = torch.randn(3, 4).npu(), (torch.randn(2, 3, 4) > 0).npu()
    torch.npu.reset_counters()
    result = x.masked_fill(mask, 1.5)
    torch.npu.synchronize()
    assert torch.npu.counters()["launches"] == 1
    assert torch.equal(result.cpu(), x.cpu().masked_fill(mask.cpu(), 1.5))

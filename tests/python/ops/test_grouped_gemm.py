import pytest
import torch

import npu_torch.ops as npu
from ops.reference import assert_close

EXPERTS, ROWS, K, N = 4, 50, 72, 40
ENDS = torch.tensor([6, 6, 41, 47], dtype=torch.int32)


def operands(dtype):
    a = torch.randn(ROWS, K).mul(0.5).to(dtype)
    b = torch.randn(EXPERTS, N, K).mul(0.5).to(dtype).transpose(1, 2)  # as weights lie
    return a, b


def products(a, b, ends):
    """[ends[-1], N] in float64."""
    groups = a.double()[: ends[-1]].tensor_split(ends[:-1].tolist())
    return torch.cat([rows @ matrix for rows, matrix in zip(groups, b.double(), strict=True)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_groups_of_rows(dtype, index):
    a, b = operands(dtype)
    actual = npu.grouped_gemm(a.npu(), b.npu(), ENDS.to(index).npu())
    assert actual.dtype == dtype and actual.shape == (ROWS, N) and actual.is_contiguous()
    assert_close(actual[: ENDS[-1]], products(a, b, ENDS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_from_and_to_anywhere_in_one_launch(dtype):
    a, b = operands(dtype)
    ends = ENDS * 2 + 6  # two copies of every row, all in a group
    order = torch.randperm(2 * ROWS)
    scale = torch.rand(2 * ROWS)
    expected = products(a[order // 2], b, ends)
    operands_ = (a.npu(), b.npu(), ends.npu())
    gathered = npu.grouped_gemm(*operands_, gather=order.npu(), gather_divisor=2)
    assert_close(gathered, expected)
    back = torch.empty_like(expected)
    back[order] = expected * scale[order].unsqueeze(1)
    torch.npu.synchronize()
    torch.npu.reset_counters()
    scattered = npu.grouped_gemm(
        *operands_,
        gather=order.npu(),
        gather_divisor=2,
        scatter=order.int().npu(),
        row_scale=scale.npu(),
    )
    counters = torch.npu.counters()
    assert counters["launches"] == 1 and counters["macs"] == 2 * ROWS * K * N
    assert_close(scattered, back)


def test_nothing_to_do_and_rows_in_one_place():
    a, b = (x.npu() for x in operands(torch.float32))
    none = torch.zeros(0, dtype=torch.int64).npu()
    assert npu.grouped_gemm(a, b, ENDS.npu() * 0, gather=none).shape == (0, N)
    row = a[:1]
    order = torch.zeros(ROWS, dtype=torch.int64).npu()
    expected = npu.grouped_gemm(row.expand(ROWS, K).contiguous(), b, ENDS.npu())
    for copies in (row, row.expand(ROWS, K)):
        actual = npu.grouped_gemm(copies, b, ENDS.npu(), gather=order)
        assert torch.equal(actual[: ENDS[-1]].cpu(), expected[: ENDS[-1]].cpu())


def test_gradients_are_refused():
    a, b = (x.npu() for x in operands(torch.float32))
    a.requires_grad_()
    with pytest.raises(NotImplementedError, match="npu::grouped_gemm"):
        npu.grouped_gemm(a, b, ENDS.npu()).sum().backward()


def test_shapes_on_meta_and_wrong_arguments():
    a, b = operands(torch.float32)
    meta = npu.grouped_gemm(a.to("meta"), b.to("meta"), ENDS.to("meta"))
    assert meta.shape == (ROWS, N) and meta.dtype == torch.float32
    a, b, ends = a.npu(), b.npu(), ENDS.npu()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        npu.grouped_gemm(a[:, 1:], b, ends)
    with pytest.raises(RuntimeError, match="3 ends for 4 groups"):
        npu.grouped_gemm(a, b, ends[:3])
    with pytest.raises(TypeError, match="expected ends to be int32 or int64"):
        npu.grouped_gemm(a, b, ends.float())
    with pytest.raises(RuntimeError, match="expected ends to have 1 dimensions"):
        npu.grouped_gemm(a, b, ends[None])
    with pytest.raises(RuntimeError, match="scatter has 4 elements for 50 rows"):
        npu.grouped_gemm(a, b, ends, scatter=ends)
    with pytest.raises(ValueError, match="gather_divisor 0"):
        npu.grouped_gemm(a, b, ends, gather=ends, gather_divisor=0)
    with pytest.raises(TypeError, match="expected row_scale to be float32"):
        npu.grouped_gemm(a, b, ends, row_scale=torch.ones(ROWS, dtype=torch.float64).npu())
    with pytest.raises(RuntimeError, match="device"):
        npu.grouped_gemm(a, b, ENDS)

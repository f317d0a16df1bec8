"""torch.ops.npu.silu_and_mul and gelu_and_mul."""

import pytest
import torch
import torch.nn.functional as F

import npu_torch.ops as npu
from ops.reference import assert_close

OPS = {
    "silu": (npu.silu_and_mul, F.silu),
    "gelu": (npu.gelu_and_mul, F.gelu),
    "gelu_tanh": (
        lambda x: npu.gelu_and_mul(x, "tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
}


@pytest.fixture(params=OPS)
def ops(request):
    op, activation = OPS[request.param]

    def reference(x):
        gate, up = x.double().chunk(2, -1)
        return activation(gate) * up

    return op, reference


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sizes", [(5, 256), (2, 3, 34), (8,), (2, 20000)])
def test_values(ops, dtype, sizes):
    op, reference = ops
    x = torch.randn(sizes).mul(2).to(dtype)
    actual = op(x.npu())
    assert actual.dtype == dtype and actual.shape == (*sizes[:-1], sizes[-1] // 2)
    assert_close(actual, reference(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strided_inputs(ops, dtype):
    op, reference = ops
    x = torch.randn(6, 4, 96).to(dtype)
    for view in (
        lambda t: t[::2, 1:, 16:80],
        lambda t: t.transpose(0, 2),
        lambda t: t[..., ::3],
        lambda t: t[:, :1].expand(6, 4, 96),
    ):
        assert_close(op(view(x.npu())), reference(view(x)))


def test_large_values(ops):
    op, reference = ops
    x = torch.tensor([[-1e4, -100.0, 0.0, 100.0, 1e4, 1.0, 1.0, 1.0, 1.0, 1.0]])
    assert_close(op(x.npu()), reference(x))


def test_empty_meta_and_opcheck(ops):
    op, _ = ops
    assert op(torch.empty(0, 8).npu()).shape == (0, 4)
    result = op(torch.empty(2, 3, 8, device="meta", dtype=torch.half))
    assert (result.shape, result.dtype, result.device.type) == ((2, 3, 4), torch.half, "meta")


def test_opcheck():
    x = torch.randn(3, 8).npu()
    torch.library.opcheck(torch.ops.npu.silu_and_mul, (x,))
    torch.library.opcheck(torch.ops.npu.gelu_and_mul, (x, "tanh"))


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_errors(ops, device):
    op, _ = ops
    with pytest.raises(RuntimeError, match=r"even.*\[2, 7\]"):
        op(torch.empty(2, 7, device=device))
    with pytest.raises(RuntimeError, match=r"even.*\[\]"):
        op(torch.empty((), device=device))
    with pytest.raises(TypeError, match="float32.*Int"):
        op(torch.empty(2, 8, device=device, dtype=torch.int32))
    with pytest.raises(ValueError, match="'sigmoid'; allowed are none and tanh"):
        npu.gelu_and_mul(torch.empty(2, 8, device=device), "sigmoid")


def test_backward_is_not_implemented(ops):
    op, _ = ops
    x = torch.ones(3, 8, device="npu", requires_grad=True)
    with pytest.raises(NotImplementedError, match="npu::.*_and_mul"):
        op(x).sum().backward()

"""torch.ops.npu.rms_norm and fused_add_rms_norm."""

import pytest
import torch

import npu_torch.ops as npu
from ops.reference import assert_close

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EPS = 1e-5


def reference(x, weight, offset=0.0):
    x = x.double()
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
    return y if weight is None else y * (weight.double() + offset)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(7, 256), (2, 3, 100), (5,), (3, 5000)])
def test_rms_norm(dtype, sizes):
    x, weight = torch.randn(sizes).to(dtype), torch.randn(sizes[-1]).to(dtype)
    actual = npu.rms_norm(x.npu(), weight.npu(), EPS)
    assert actual.dtype == dtype and actual.is_contiguous()
    assert_close(actual, reference(x, weight))
    assert_close(npu.rms_norm(x.npu(), None, EPS), reference(x, None))


def test_weight_of_another_dtype_and_offset():
    x, weight = torch.randn(4, 64).bfloat16(), torch.randn(64)
    actual = npu.rms_norm(x.npu(), weight.npu(), EPS, weight_offset=1.0)
    assert_close(actual, reference(x, weight, 1.0))


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_strided_inputs(dtype):
    x, weight = torch.randn(6, 5, 96).to(dtype), torch.randn(192).to(dtype)
    for view in (
        lambda t: t.transpose(0, 1),
        lambda t: t[:, 1:4, 10:70],
        lambda t: t[::2, :, ::2],
        lambda t: t.permute(2, 0, 1),
        lambda t: t[:1].expand(4, 5, 96),
    ):
        sizes = view(x).shape[-1]
        actual = npu.rms_norm(view(x.npu()), weight.npu()[: 2 * sizes : 2], EPS)
        assert actual.is_contiguous()
        assert_close(actual, reference(view(x), weight[: 2 * sizes : 2]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_fused_add(dtype, offset):
    x, residual = torch.randn(2, 9, 128).to(dtype), torch.randn(2, 9, 128).to(dtype)
    weight = torch.randn(128).to(dtype)
    on_device = residual.npu()
    actual = npu.fused_add_rms_norm(x.npu(), on_device, weight.npu(), EPS, weight_offset=offset)
    torch.testing.assert_close(on_device.cpu(), residual + x)
    assert_close(actual, reference(x.double() + residual.double(), weight, offset))


def test_fused_add_of_strided_rows():
    x, residual = torch.randn(6, 128).bfloat16(), torch.randn(12, 256).bfloat16()
    on_device = residual.npu()
    rows = on_device[::2, 64:192]
    actual = npu.fused_add_rms_norm(x.npu().t().contiguous().t(), rows, None, EPS)
    total = x + residual[::2, 64:192]
    assert_close(actual, reference(x.double() + residual[::2, 64:192].double(), None))
    expected = residual.clone()
    expected[::2, 64:192] = total
    assert torch.equal(on_device.cpu(), expected)


def test_empty():
    assert npu.rms_norm(torch.empty(0, 8).npu(), None, EPS).shape == (0, 8)
    x = torch.empty(3, 0, 8, device="npu")
    assert npu.fused_add_rms_norm(x, x.clone(), None, EPS).shape == x.shape


def test_one_launch_each():
    x, weight = torch.randn(64, 64).npu(), torch.randn(64).npu()
    residual = x.clone()
    torch.npu.synchronize()
    torch.npu.reset_counters()
    npu.rms_norm(x, weight, EPS)
    npu.fused_add_rms_norm(x, residual, weight, EPS)
    assert torch.npu.counters()["launches"] == 2


def test_meta():
    x = torch.empty(3, 4, 8, device="meta", dtype=torch.bfloat16).transpose(0, 1)
    for y in (npu.rms_norm(x, None, EPS), npu.fused_add_rms_norm(x, x.clone(), None, EPS)):
        assert (y.shape, y.dtype, y.device.type) == (x.shape, x.dtype, "meta")
        assert y.is_contiguous()


def test_opcheck():
    x, weight = torch.randn(3, 8).npu(), torch.randn(8).npu()
    torch.library.opcheck(torch.ops.npu.rms_norm, (x, weight, EPS))
    torch.library.opcheck(torch.ops.npu.fused_add_rms_norm, (x, x.clone(), weight, EPS))


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_errors(device):
    x = torch.empty(3, 8, device=device)
    with pytest.raises(RuntimeError, match=r"weight to have sizes \[8\].*\[7\]"):
        npu.rms_norm(x, torch.empty(7, device=device), EPS)
    with pytest.raises(TypeError, match="x to be float32.*Long"):
        npu.rms_norm(x.long(), None, EPS)
    with pytest.raises(TypeError, match="weight to be float32.*Int"):
        npu.rms_norm(x, torch.empty(8, device=device, dtype=torch.int32), EPS)
    with pytest.raises(RuntimeError, match="at least 1 dimension"):
        npu.rms_norm(torch.empty((), device=device), None, EPS)
    with pytest.raises(RuntimeError, match=r"residual to have sizes \[3, 8\].*\[2, 8\]"):
        npu.fused_add_rms_norm(x, x[:2], None, EPS)
    with pytest.raises(RuntimeError, match="residual to be Float, but it is Half"):
        npu.fused_add_rms_norm(x, x.half(), None, EPS)


def test_errors_of_devices_and_views():
    x = torch.ones(3, 2, 8, device="npu")
    with pytest.raises(RuntimeError, match="npu:0 and cpu"):
        npu.rms_norm(x, torch.ones(8), EPS)
    with pytest.raises(RuntimeError, match="npu:0 and npu:1"):
        npu.fused_add_rms_norm(x, x.to("npu:1"), None, EPS)
    with pytest.raises(RuntimeError, match="view"):
        npu.fused_add_rms_norm(x.transpose(0, 1), x.transpose(0, 1), None, EPS)


def test_backward_is_not_implemented():
    x = torch.ones(3, 8, device="npu", requires_grad=True)
    with pytest.raises(NotImplementedError, match="npu::rms_norm"):
        npu.rms_norm(x, None, EPS).sum().backward()
    with pytest.raises(NotImplementedError, match="npu::fused_add_rms_norm"):
        npu.fused_add_rms_norm(x, torch.ones(3, 8).npu(), None, EPS).sum().backward()

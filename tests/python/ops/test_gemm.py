import pytest
import torch
import torch.nn.functional as F

import npu_torch.ops as npu
from ops.reference import assert_close

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def operands(dtype, *sizes):
    return [torch.randn(size).mul(0.5).to(dtype) for size in sizes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_and_bias(dtype, activation):
    a, b, bias = operands(dtype, (33, 70), (70, 45), (45,))
    expected = ACTIVATIONS[activation](a.double() @ b.double() + bias.double())
    actual = npu.gemm(a.npu(), b.npu(), bias.npu(), activation)
    assert actual.dtype == dtype and actual.is_contiguous()
    assert_close(actual, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batches_strides_and_broadcast_bias(dtype):
    a, b, bias = operands(dtype, (3, 40, 20), (3, 50, 20), (3, 1, 50))
    expected = a.double() @ b.double().transpose(1, 2) + bias.double()
    assert_close(npu.gemm(a.npu(), b.npu().transpose(1, 2), bias.npu()), expected)
    a, b, column = operands(dtype, (20, 64), (64, 48), (32, 1))
    expected = a.double().t()[::2] @ b.double()[:20, ::3] + column.double()
    assert_close(npu.gemm(a.npu().t()[::2], b.npu()[:20, ::3], column.npu()), expected)


def test_bias_of_another_dtype_is_added_before_rounding():
    a, b = operands(torch.bfloat16, (8, 16), (16, 8))
    bias = torch.randn(8)
    expected = (a.double() @ b.double() + bias.double()).bfloat16()
    actual = npu.gemm(a.npu(), b.npu(), bias.npu()).cpu()
    torch.testing.assert_close(actual, expected, rtol=2**-8, atol=0)


def test_one_launch():
    a, b, bias = (x.npu() for x in operands(torch.bfloat16, (64, 64), (64, 64), (64,)))
    torch.npu.synchronize()
    torch.npu.reset_counters()
    npu.gemm(a, b, bias, "silu")
    counters = torch.npu.counters()
    assert counters["launches"] == 1 and counters["macs"] == 64**3


def test_empty_products():
    a, b = torch.empty(0, 4, device="npu"), torch.empty(4, 3, device="npu")
    assert npu.gemm(a, b).shape == (0, 3)
    bias = torch.tensor([1.0, -2.0], device="npu")
    product = npu.gemm(torch.empty(3, 0).npu(), torch.empty(0, 2).npu(), bias, "relu")
    assert product.tolist() == [[1, 0]] * 3


def test_meta():
    a, b = torch.empty(5, 7, device="meta").half(), torch.empty(7, 9, device="meta").half()
    result = npu.gemm(a, b, None, "gelu")
    assert (result.shape, result.dtype, result.device.type) == ((5, 9), torch.half, "meta")


def test_opcheck():
    a, b, bias = (x.npu() for x in operands(torch.float32, (4, 5), (5, 6), (6,)))
    torch.library.opcheck(torch.ops.npu.gemm, (a, b, bias, "relu"))


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_errors(device):
    def empty(*sizes, dtype=torch.float32):
        return torch.empty(sizes, dtype=dtype, device=device)

    with pytest.raises(RuntimeError, match=r"\[3, 4\] and \[5, 6\]"):
        npu.gemm(empty(3, 4), empty(5, 6))
    with pytest.raises(RuntimeError, match=r"\[2, 3, 4\] and \[3, 4, 5\]"):
        npu.gemm(empty(2, 3, 4), empty(3, 4, 5))
    with pytest.raises(RuntimeError, match=r"dimensions.*\[4\] and \[4, 5\]"):
        npu.gemm(empty(4), empty(4, 5))
    with pytest.raises(RuntimeError, match="Float, but it is Half"):
        npu.gemm(empty(3, 4), empty(4, 5, dtype=torch.half))
    with pytest.raises(RuntimeError, match=r"bias of sizes \[7\].*\[3, 5\]"):
        npu.gemm(empty(3, 4), empty(4, 5), empty(7))
    with pytest.raises(ValueError, match="'swish'; allowed are none, relu"):
        npu.gemm(empty(3, 4), empty(4, 5), None, "swish")


def test_errors_of_devices():
    a, b = torch.empty(3, 4, device="npu"), torch.empty(4, 5, device="npu")
    with pytest.raises(RuntimeError, match="npu:0 and cpu"):
        npu.gemm(a, b.cpu())
    with pytest.raises(RuntimeError, match="npu:0 and npu:1"):
        npu.gemm(a, b.to("npu:1"))
    with pytest.raises(RuntimeError, match="npu:0 and cpu"):
        npu.gemm(a, b, torch.empty(5))
    with pytest.raises(NotImplementedError, match="ComplexFloat"):
        npu.gemm(*(torch.empty(3, 3, dtype=torch.complex64, device="npu") for _ in range(2)))


def test_backward_is_not_implemented():
    a, b = torch.ones(3, 4, device="npu", requires_grad=True), torch.ones(4, 5, device="npu")
    with pytest.raises(NotImplementedError, match="npu::gemm"):
        npu.gemm(a, b).sum().backward()

import itertools

import pytest
import torch

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]
# The device moves these but does not compute with them.
OTHER_DTYPES = [torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.uint16, torch.uint64]


def sample(dtype, *shape):
    values = torch.randint(0, 100, shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype)


@pytest.fixture
def no_fallback():
    torch.npu.reset_fallback_stats()
    yield
    assert torch.npu.fallback_stats() == {}


native = pytest.mark.usefixtures("no_fallback")


def strided(tensor, layout):
    """The same values in another layout."""
    if layout == "contiguous":
        return tensor
    if layout == "transposed":
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    wide = torch.empty(*tensor.shape[:-1], tensor.shape[-1] * 2, dtype=tensor.dtype)
    wide = wide.to(tensor.device)[..., ::2]
    return wide.copy_(tensor)


LAYOUTS = ["contiguous", "transposed", "gaps"]


@native
@pytest.mark.parametrize("dtype", DTYPES + OTHER_DTYPES, ids=str)
def test_there_and_back(dtype):
    for shape in [(), (0,), (1,), (3, 5, 7)]:
        x = sample(dtype, *shape)
        y = x.npu()
        assert (y.dtype, y.shape, y.device.type) == (dtype, x.shape, "npu")
        assert y.cpu().equal(x)


@native
@pytest.mark.parametrize(("source", "target"), list(itertools.product(LAYOUTS, LAYOUTS)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8, torch.complex128], ids=str)
def test_layouts_in_every_direction(source, target, dtype):
    x = sample(dtype, 3, 4, 5)
    empty = torch.zeros(3, 4, 5, dtype=dtype)
    for from_device, to_device in [
        ("cpu", "npu"),
        ("npu", "cpu"),
        ("npu", "npu"),
        ("npu", "npu:1"),
    ]:
        src = strided(x, source).to(from_device)
        if src.stride() != strided(x, source).stride():
            src = strided(x.to(from_device), source)
        dst = strided(empty.to(to_device), target)
        dst.copy_(src)
        assert dst.cpu().equal(x), (from_device, to_device)


@native
@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES, DTYPES)), ids=str)
def test_conversions(a, b):
    x = sample(a, 4, 6)
    expected = x.to(b)
    assert x.npu().to(b).cpu().equal(expected)
    assert torch.empty(4, 6, dtype=b, device="npu").copy_(x).cpu().equal(expected)
    assert torch.empty(4, 6, dtype=b).copy_(x.npu()).equal(expected)


@pytest.mark.parametrize(
    ("a", "b"), [(torch.complex64, torch.float32), (torch.float32, torch.float8_e5m2)], ids=str
)
def test_conversions_that_the_device_lacks_are_counted(a, b):
    torch.npu.reset_fallback_stats()
    x = sample(a, 4, 6)
    device = x.npu()
    assert torch.npu.fallback_stats() == {}
    assert device.to(b).cpu().equal(x.to(b))
    assert torch.npu.fallback_stats() == {"aten::_copy_from": 1}


@native
def test_broadcast():
    x = torch.arange(3.0)
    for source in (x, x.npu()):
        assert torch.empty(2, 3, device="npu").copy_(source).cpu().equal(x.expand(2, 3))
    assert torch.empty(2, 3).copy_(x.npu()).equal(x.expand(2, 3))
    with pytest.raises(RuntimeError, match=r"\[2, 3\]|must match"):
        torch.empty(2, 3, device="npu").copy_(torch.ones(4))


def test_copies_within_a_tensor():
    x = torch.arange(10.0, device="npu")
    x[:5].copy_(x[5:])
    assert x.cpu().tolist() == [5, 6, 7, 8, 9, 5, 6, 7, 8, 9]
    x.copy_(x)
    with pytest.raises(RuntimeError, match="single memory location"):
        x[1:].copy_(x[:-1])
    with pytest.raises(RuntimeError, match="single memory location"):
        x[:1].expand(3).copy_(x[:3])


@native
def test_clone_keeps_strides():
    x = sample(torch.float32, 4, 5).npu().t()
    assert x.clone().stride() == x.stride()
    assert x.contiguous().stride() == (4, 1)
    assert x.clone(memory_format=torch.contiguous_format).cpu().equal(x.cpu())
    image = sample(torch.float32, 2, 3, 4, 5).npu().contiguous(memory_format=torch.channels_last)
    assert image.cpu().equal(sample(torch.float32, 2, 3, 4, 5))
    assert image.cpu().is_contiguous(memory_format=torch.channels_last)


@native
def test_items():
    for dtype in DTYPES + OTHER_DTYPES:
        x = sample(dtype, 3)
        assert x.npu()[1].item() == x[1].item()
    assert torch.tensor([1, 2], device="npu").tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="2 elements"):
        torch.ones(2, device="npu").item()


def test_peer_copies_are_ordered():
    x = torch.zeros(1 << 20, device="npu:0")
    for i in range(1, 4):
        x.fill_(i) if i % 2 else x.copy_(torch.full_like(x, i))
        y = x.to("npu:1", non_blocking=True)
        assert y.device.index == 1
        assert y.cpu().min().item() == y.cpu().max().item() == i


def test_lazy_negation_and_conjugation():
    x = torch.tensor([1 + 2j, 3 - 4j]).npu()
    assert x.conj().cpu().tolist() == [1 - 2j, 3 + 4j]
    assert torch._neg_view(torch.ones(2, device="npu")).cpu().tolist() == [-1, -1]
    y = torch.zeros(2, dtype=torch.complex64, device="npu")
    y.conj().copy_(x)
    assert y.cpu().tolist() == [1 - 2j, 3 + 4j]
    assert x.imag.cpu().tolist() == [2, -4]


def test_numpy_goes_through_the_cpu():
    with pytest.raises(TypeError, match="npu"):
        torch.ones(2, device="npu").numpy()


def test_transfers_are_counted():
    torch.npu.synchronize()
    torch.npu.reset_counters()
    x = torch.ones(1000).npu()
    x.cpu()
    counters = torch.npu.counters()
    assert (counters["host_to_device_bytes"], counters["device_to_host_bytes"]) == (4000, 4000)

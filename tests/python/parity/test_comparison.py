"""The comparison finds what it is there to find: operators that are wrong on purpose."""

import pytest
import torch

from npu_torch.inventory import database, parity, transfer


def on_npu(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "npu"


def wrong_value(x: torch.Tensor) -> torch.Tensor:
    return x * (1.01 if on_npu(x) else 1.0)


def wrong_dtype(x: torch.Tensor) -> torch.Tensor:
    return x.double() if on_npu(x) else x.clone()


def wrong_shape(x: torch.Tensor) -> torch.Tensor:
    return x[None].clone() if on_npu(x) else x.clone()


def wrong_device(x: torch.Tensor) -> torch.Tensor:
    return x.cpu().clone()


def copies_instead_of_viewing(x: torch.Tensor) -> torch.Tensor:
    return x.t().clone() if on_npu(x) else x.t()


def writes_its_argument(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    if on_npu(x):
        x.zero_()
    return y


def raises_here_only(x: torch.Tensor) -> torch.Tensor:
    if on_npu(x):
        raise ValueError("not here")
    return x.clone()


def raises_there_only(x: torch.Tensor) -> torch.Tensor:
    if not on_npu(x):
        raise ValueError("not there")
    return x.clone()


def wrong_when_strided(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if on_npu(x) and not x.is_contiguous() else x.clone()


def right(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


class Operator:
    variant_test_name = ""
    supports_out = False
    decorators = ()

    def __init__(self, function) -> None:
        self.name = function.__name__
        self.op = function
        self.dtypes = {torch.float32}

    def __call__(self, *args, **kwargs):
        return self.op(*args, **kwargs)

    def get_inplace(self):
        return None

    def sample_inputs(self, device, dtype, requires_grad):
        from torch.testing._internal.opinfo.core import SampleInput

        yield SampleInput(torch.randn(3, 3, dtype=dtype))


@pytest.mark.parametrize(
    ("function", "failed"),
    [
        (wrong_value, 2),
        (wrong_dtype, 2),
        (wrong_shape, 2),
        (wrong_device, 2),
        (copies_instead_of_viewing, 2),
        (writes_its_argument, 2),
        (raises_here_only, 2),
        (raises_there_only, 1),
        (wrong_when_strided, 1),
        (right, 0),
    ],
)
def test_finds_what_differs(monkeypatch: pytest.MonkeyPatch, function, failed: int) -> None:
    monkeypatch.setitem(database.operators(), function.__name__, Operator(function))
    result = parity.compare(function.__name__, "float32")
    assert result["runs"]["forward"] == 1
    assert result["failed"] == failed, result["failures"]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1)[1:],
        torch.arange(3.0).expand(4, 3),
        torch.arange(20)[5:].as_strided((3, 2), (4, 1), 6),
        torch.empty(0, 3),
        torch.tensor(2.5),
    ],
)
def test_samples_keep_their_layout(tensor: torch.Tensor) -> None:
    there = transfer.moved([tensor], "npu")[0]
    assert there.device.type == "npu"
    assert there.stride() == tensor.stride()
    if tensor.numel():
        assert there.storage_offset() == tensor.storage_offset()
    assert there.cpu().equal(tensor)
    assert transfer.moved(there, "cpu").stride() == tensor.stride()

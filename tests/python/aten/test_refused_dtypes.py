"""Functions of real numbers refuse integer tensors that PyTorch's CPU backend refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

Function = Callable[[torch.Tensor], torch.Tensor]

OF_REALS: dict[str, Function] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "glu": F.glu,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda x: torch.prelu(x, x[:1]),
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "hardshrink": F.hardshrink,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "softmax": lambda x: x.softmax(0),
    "log_softmax": lambda x: x.log_softmax(0),
    "nextafter": lambda x: torch.nextafter(x, x),
    "hypot": lambda x: torch.hypot(x, x),
    "logaddexp": lambda x: torch.logaddexp(x, x),
    "lerp": lambda x: torch.lerp(x, x, 0.5),
    "frac": torch.frac,
    "round to decimals": lambda x: x.round(decimals=1),
}
INTEGERS = (torch.int32, torch.int64, torch.int8, torch.int16, torch.uint8, torch.bool)


@pytest.mark.parametrize("name", OF_REALS)
def test_integers_are_refused(name: str) -> None:
    for dtype in INTEGERS:
        x = torch.tensor([1, 0, 3, 2]).to(dtype)
        for tensor in (x, x.to("npu")):
            with pytest.raises(NotImplementedError):
                OF_REALS[name](tensor)


@pytest.mark.parametrize("function", [torch.exp, torch.sigmoid, torch.atan2, torch.sinc])
def test_integers_become_reals_where_the_cpu_makes_them(function: Function) -> None:
    x = torch.tensor([1, 0, 3, 2])
    args = (x, x) if function is torch.atan2 else (x,)
    result = function(*(arg.to("npu") for arg in args))
    torch.testing.assert_close(result.cpu(), function(*args))

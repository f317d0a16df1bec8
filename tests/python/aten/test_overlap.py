"""Results that overlap their sources are those of the sources as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


def shifted_add(x: torch.Tensor) -> None:
    x[1:, :-1] += x[:-1, 1:]


def shifted_copy(x: torch.Tensor) -> None:
    x[:, 1:].copy_(x[:, :-1])


def product_onto_itself(x: torch.Tensor) -> None:
    torch.mm(x, x, out=x)


def bias_beside_the_result(x: torch.Tensor) -> None:
    half = x.size(1) // 2
    torch.addmm(x[:, 1 : half + 1], x[:, half:], x[half:, :half], out=x[:, :half])


def apart(operation: Callable[[torch.Tensor], None], x: torch.Tensor) -> torch.Tensor:
    """What the operation means: its sources are read before anything is written."""
    y = x.clone()
    if operation is shifted_add:
        y[1:, :-1] = x[1:, :-1] + x[:-1, 1:]
    elif operation is shifted_copy:
        y[:, 1:] = x[:, :-1]
    elif operation is product_onto_itself:
        y = x @ x
    else:
        half = x.size(1) // 2
        y[:, :half] = torch.addmm(x[:, 1 : half + 1], x[:, half:], x[half:, :half])
    return y


OPERATIONS = [shifted_add, shifted_copy, product_onto_itself, bias_beside_the_result]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__)
def test_sources_are_read_first(operation: Callable[[torch.Tensor], None]) -> None:
    torch.manual_seed(0)
    x = torch.randn(384, 384)
    on_npu = x.to("npu")
    operation(on_npu)
    torch.testing.assert_close(on_npu.cpu(), apart(operation, x), rtol=1e-4, atol=1e-4)


def test_numbers_do_not_depend_on_host_threads(run_python: Callable[..., object]) -> None:
    code = """
import hashlib, torch
torch.manual_seed(0)
x = torch.randn(300, 300).npu()
parts = [x @ x, x.sum(), x.softmax(-1), x.cumsum(0), x.var(1), x.sort(-1)[0]]
x[1:, :-1] += x[:-1, 1:]
parts += [x, torch.nn.functional.scaled_dot_product_attention(*[x.view(1, 3, 100, 300)] * 3)]
index = torch.arange(3000).npu() % 7
parts.append(torch.zeros(7).npu().index_add_(0, index, torch.randn(3000).npu()))
digest = hashlib.sha256()
for part in parts:
    digest.update(part.cpu().contiguous().numpy().tobytes())
print(digest.hexdigest())
"""
    digests = {
        run_python(code, NPU_HOST_THREADS=threads).stdout.split()[-1]  # type: ignore[attr-defined]
        for threads in ("1", "2", "4")
    }
    assert len(digests) == 1

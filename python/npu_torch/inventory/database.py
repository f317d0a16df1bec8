"""PyTorch's operator database: names, samples, tolerances."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import warnings
from collections.abc import Iterator
from typing import Any

import torch

import npu_torch  # noqa: F401  # torch.npu must exist before the database is imported
from npu_torch.inventory import transfer

SEED = 20240229

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int64": torch.int64}

# Results that nobody has written: only their metadata can be compared.
UNINITIALIZED = {
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
}

# Their samples make or take sparse layouts, which the device does not have.
SPARSE = {"sparse.mm", "sparse.sampled_addmm", "to_sparse"}

# Arguments that belong on the CPU, whatever the device.
ARGUMENTS_ON_CPU = {"tensor_split"}

# Given an out= tensor with other strides, the CPU's kernels write outside of it.
CPU_WRITES_ELSEWHERE = {"linalg.lu", "lu_unpack", "tril", "triu"}

# Which of several equal elements they name is open; where their dimension stands in the arguments.
_TIES = {"argsort": 0, "kthvalue": 1, "mode": 0, "sort": 0, "topk": 1}

# Wider (rtol, atol) than the defaults where a small rounding becomes a large one: logits in the
# thousands before a softmax, losses from logits rounded to 16 bits.
_WIDER = {
    ("nn.functional.multi_head_attention_forward", torch.float32): (1e-4, 1e-5),
    ("nn.functional.linear_cross_entropy", torch.bfloat16): (0.1, 1e-3),
}

# The tests of PyTorch whose tolerances apply when a device is compared with the CPU.
_COMPARING_TESTS = (
    "test_compare_cpu",
    "test_noncontiguous_samples",
    "test_out",
    "test_variant_consistency_eager",
)


@functools.cache
def operators() -> dict[str, Any]:
    """Every entry of op_db, which has the attributes of PyTorch's OpInfo, by its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {key(op): op for op in op_db}


def key(op: Any) -> str:
    """The entry's name with its variant: "add", "div.floor_rounding"."""
    return f"{op.name}.{op.variant_test_name}" if op.variant_test_name else str(op.name)


def names(dtype: torch.dtype) -> list[str]:
    """The operators that the CPU, hence the reference, has for the dtype."""
    return [name for name, op in operators().items() if dtype in op.dtypes]


def seed_everything(seed: int = SEED) -> None:
    """Seed every generator that samples may draw from."""
    import numpy

    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)


def samples(op: Any, dtype: torch.dtype, limit: int | None = None) -> Iterator[tuple[int, Any]]:
    """The operator's samples on the CPU with their numbers, always the same ones.

    With a limit, that many are chosen by a seed that depends on the operator; the first one, which
    is the plainest, is always among them.
    """
    seed_everything()
    found = enumerate(op.sample_inputs("cpu", dtype, requires_grad=False))
    if limit is None:
        yield from found
        return
    # Some operators have thousands of samples: a window is enough to choose from.
    window = list(itertools.islice(found, 16 * limit))
    chosen = random.Random(f"{SEED} {key(op)} {dtype}").sample(
        window[1:], min(limit, len(window)) - 1
    )
    yield from sorted(window[:1] + chosen, key=lambda entry: entry[0])


def on_device(op: Any, arguments: Any) -> Any:
    """A copy of a sample's (input, args, kwargs, ...) on the device."""
    if op.name in ARGUMENTS_ON_CPU:
        return (transfer.moved(arguments[0], "npu"), *arguments[1:])
    return transfer.moved(arguments, "npu")


def default_device(arguments: Any) -> contextlib.AbstractContextManager[Any]:
    """Where factories make their tensors, which have no argument that would tell."""
    return contextlib.nullcontext() if transfer.tensors(arguments) else torch.device("npu")


def without_ties(op: Any, arguments: Any, result: Any) -> Any:
    """The result with indices that are open among equal elements replaced by what they name."""
    where = _TIES.get(op.name)
    values, args, kwargs = arguments[:3]
    if where is None or kwargs.get("stable"):
        return result
    dim = kwargs.get("dim", args[where] if len(args) > where else -1)

    def named(indices: Any) -> Any:
        if values.dim() == 0:
            return indices
        squeezed = indices.dim() < values.dim()
        wide = indices.unsqueeze(dim) if squeezed else indices
        distinct = wide.sort(dim).values.diff(dim=dim).ne(0).all()
        return values.gather(dim, wide), distinct

    if isinstance(result, torch.Tensor):
        return named(result)
    pair = list(result)
    return [pair[0], named(pair[1])] if len(pair) == 2 else [named(pair[0])]


def tolerance(op: Any, dtype: torch.dtype) -> tuple[float, float]:
    """op_db's own (rtol, atol), which widen the defaults of the result's dtype."""
    from torch.testing._internal.common_device_type import precisionOverride, toleranceOverride
    from torch.testing._internal.opinfo.core import DecorateInfo

    rtol, atol = _WIDER.get((op.name, dtype), (0.0, 0.0))
    for decorator in op.decorators:
        inner = [decorator]
        if isinstance(decorator, DecorateInfo):
            inner = decorator.decorators if _applies(decorator, dtype) else []
        for override in inner:
            if isinstance(override, toleranceOverride) and dtype in override.d:
                atol = max(atol, override.d[dtype].atol)
                rtol = max(rtol, override.d[dtype].rtol)
            elif isinstance(override, precisionOverride) and dtype in override.d:
                atol = max(atol, override.d[dtype])
    return rtol, atol


def _applies(info: Any, dtype: torch.dtype) -> bool:
    return any(
        info.is_active("TestCommon", test, device, dtype, {})
        for test in _COMPARING_TESTS
        for device in ("cpu", "cuda")
    )

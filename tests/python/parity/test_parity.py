"""Every operator of PyTorch's database on the device against the CPU.

`make test` runs a seeded sample: some operators, and of these some samples. The slow tests run
every operator with every sample.
"""

import random
from typing import Any

import pytest

from npu_torch.inventory import database
from npu_torch.inventory.pool import Worker
from parity.extra_samples import OPERATORS as EXTRA

SAMPLED_CASES = 800
SAMPLES_OF_A_CASE = 6
EDGE_CASES = 150
SAMPLES_ON_EDGE = 4

CASES = [
    (name, dtype_name)
    for dtype_name, dtype in database.DTYPES.items()
    for name in database.names(dtype)
    if database.operators()[name].name not in database.SPARSE
]


def sampled(count: int, purpose: str) -> list[tuple[str, str]]:
    chosen = random.Random(f"{database.SEED} {purpose}").sample(CASES, count)
    return sorted(chosen)


def check(worker: Worker, name: str, dtype_name: str, limit: int | None = None) -> None:
    result: dict[str, Any] = worker.run("compare", name=name, dtype_name=dtype_name, limit=limit)
    lines = [
        f"{failure['form']}, sample {failure['sample']}\n    {failure['message']}"
        for failure in result["failures"]
    ]
    calls = sum(result["runs"].values())
    assert result["failed"] == 0, "\n".join(
        [f"{name} in {dtype_name}: {result['failed']} of {calls} calls differ", *lines]
    )


@pytest.mark.parametrize(("name", "dtype_name"), sampled(SAMPLED_CASES, "default"))
def test_sample(worker: Worker, name: str, dtype_name: str) -> None:
    check(worker, name, dtype_name, SAMPLES_OF_A_CASE)


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("dtype_name", database.DTYPES)
def test_extra_samples(worker: Worker, name: str, dtype_name: str) -> None:
    if database.DTYPES[dtype_name] in EXTRA[name].dtypes:
        check(worker, name, dtype_name)


@pytest.mark.parametrize(("name", "dtype_name"), sampled(EDGE_CASES, "edge"))
def test_sample_on_edge(edge_worker: Worker, name: str, dtype_name: str) -> None:
    check(edge_worker, name, dtype_name, SAMPLES_ON_EDGE)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype_name"), CASES)
def test_whole(worker: Worker, name: str, dtype_name: str) -> None:
    check(worker, name, dtype_name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype_name"), CASES)
def test_on_edge(edge_worker: Worker, name: str, dtype_name: str) -> None:
    check(edge_worker, name, dtype_name, SAMPLES_OF_A_CASE)

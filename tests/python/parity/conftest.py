"""Workers that run the operators: one for each pytest process, restarted when it crashes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from npu_torch.inventory.pool import Worker

EXTRA_SAMPLES = str(Path(__file__).with_name("extra_samples.py"))


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    worker = Worker(load=[EXTRA_SAMPLES])
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def edge_worker() -> Iterator[Worker]:
    worker = Worker({"NPU_ARCH": "n1-edge"}, load=[EXTRA_SAMPLES])
    yield worker
    worker.close()

"""What the tests of torch.ops.npu share: nothing may fall back, errors leave no trace."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def no_fallback() -> Iterator[None]:
    torch.manual_seed(0)
    torch.npu.reset_fallback_stats()
    yield
    torch.npu.synchronize()
    assert torch.npu.fallback_stats() == {}

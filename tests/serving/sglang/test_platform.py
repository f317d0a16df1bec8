"""SGLang finds the platform, and does not take `torch.npu` for Huawei's device."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CHECK = """
import sys
import torch
from sglang.srt.platforms import current_platform
from sglang.srt.utils import get_device, is_npu
import torchvision
assert not is_npu() and not is_npu.__wrapped__.__globals__["is_npu"]()
assert type(current_platform).__module__ == "npu_torch.integrations.sglang.platform"
assert torch.npu is sys.modules["npu_torch.npu"] and torch.ones(2, device="npu").sum() == 2
assert get_device() == "npu"
assert "torch_npu" not in sys.modules
"""
ORDERS = {
    "npu_torch first": ("import npu_torch", "1"),
    "SGLang first": ("import sglang", "1"),
    "SGLang's utilities first": ("import sglang.srt.utils", "1"),
    "its platforms first": ("from sglang.srt.platforms import current_platform", "1"),
    "SGLang first, and PyTorch loads no devices": ("import sglang", "0"),
}


def python(code: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("order", ORDERS)
def test_import_orders(order):
    first, autoload = ORDERS[order]
    python(first + CHECK, TORCH_DEVICE_BACKEND_AUTOLOAD=autoload)


def test_the_cpu_engine_stays_available():
    python(
        "from sglang.srt.platforms import current_platform\n"
        "from sglang.srt.utils import is_npu\n"
        "assert current_platform.is_cpu() and not is_npu()",
        SGLANG_USE_CPU_ENGINE="1",
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tp_size": 2}, "one device"),
        ({"attention_backend": "triton"}, "attention_backend may be"),
        ({"kv_cache_dtype": "fp8_e4m3"}, "kv_cache_dtype may be"),
        ({"quantization": "fp8"}, "quantization may be"),
        ({"lora_paths": ["adapter"]}, "lora_paths may be"),
        ({"speculative_algorithm": "NGRAM"}, "speculative"),
    ],
)
def test_what_the_platform_does_not_do_is_refused(options, message):
    import sglang
    from families import DEMO

    with pytest.raises(ValueError, match=message):
        sglang.Engine(model_path=DEMO, log_level="error", **options)

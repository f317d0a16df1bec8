"""Settings that must stand before vLLM is imported."""

from __future__ import annotations

import os

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine in this process: its counters too
os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NPU_HBM_LIMIT"] = "1G"

import pytest
import torch
from families import DEMO
from transformers import AutoModelForCausalLM
from vllm_engine import running


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.serving)


@pytest.fixture(scope="module")
def llm():
    with running(
        disable_log_stats=False,
        logprobs_mode="processed_logits",
        max_logprobs=-1,
        structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
    ) as it:
        yield it


@pytest.fixture(scope="session")
def reference():
    return AutoModelForCausalLM.from_pretrained(DEMO, dtype=torch.float32).eval()

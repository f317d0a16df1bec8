"""Settings that must stand before SGLang is imported."""

from __future__ import annotations

import functools
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NPU_HBM_LIMIT"] = "1G"

import pytest
import torch
from families import DEMO, random_model, saved
from transformers import AutoModelForCausalLM


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.serving)


@pytest.fixture(scope="session", autouse=True)
def engines_fork_from_a_process_that_has_imported_sglang():
    """Each process of an engine imports SGLang for eight seconds; here one does it for all.

    The server's tests start processes as SGLang does.
    """
    import multiprocessing.forkserver

    start = multiprocessing.set_start_method
    multiprocessing.set_forkserver_preload(["sglang.srt.entrypoints.engine"])
    multiprocessing.forkserver.ensure_running()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            multiprocessing, "set_start_method", lambda method, force: start("forkserver", force)
        )
        yield


@pytest.fixture(scope="session")
def reference():
    return AutoModelForCausalLM.from_pretrained(DEMO, dtype=torch.float32).eval()


# What SGLang's model files take for granted.
OWN = {
    "mistral": {"sliding_window": None},  # they know of none for Mistral
    "gemma2": {"hidden_act": "gelu_pytorch_tanh"},
    "gemma3": {"tie_word_embeddings": True},
}


@pytest.fixture(scope="session")
def model_of(tmp_path_factory):
    """A function of a family and its number of layers: transformers' model and its folder."""

    @functools.cache
    def make(family: str, layers: int | None = None):
        changes = OWN.get(family, {}) | ({"num_hidden_layers": layers} if layers else {})
        model = random_model(family, **changes)
        return model, saved(model, tmp_path_factory.mktemp(family))

    return make

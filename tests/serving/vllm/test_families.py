"""Model families from vLLM's own model files, with random weights, against transformers."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES, PROMPTS, random_model, saved
from vllm_engine import compare, greedy, running


@pytest.mark.parametrize("family", FAMILIES)
def test_family(family, tmp_path):
    model = random_model(family)
    with running(saved(model, tmp_path), max_num_batched_tokens=64) as llm:
        torch.npu.reset_fallback_stats()
        outputs = greedy(llm, PROMPTS)
        assert torch.npu.fallback_stats() == {}
        assert compare(model, outputs) <= 1


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_launches_of_a_layer(family, tmp_path):
    launches = {}
    for layers in (1, 8):
        model = random_model(family, num_hidden_layers=layers)
        with running(saved(model, tmp_path / str(layers))) as llm:
            greedy(llm, PROMPTS, 2)
            counts = []
            for tokens in (4, 12):
                torch.npu.reset_counters()
                greedy(llm, PROMPTS, tokens)
                counts.append(torch.npu.counters()["launches"])
            launches[layers] = (counts[1] - counts[0]) / 8
    a_layer = (launches[8] - launches[1]) / 7
    print(f"{family}: {a_layer:.1f} launches a layer, {launches[1] - a_layer:.1f} a step beside")
    assert a_layer <= 20

"""Model families from SGLang's own model files, with random weights, against transformers."""

from __future__ import annotations

import pytest
from families import FAMILIES, random_model, saved
from sglang_engine import assert_greedy, greedy, running, state

# What SGLang's model files take for granted.
OWN = {
    "mistral": {"sliding_window": None},  # they know of none for Mistral
    "gemma2": {"hidden_act": "gelu_pytorch_tanh"},
    "gemma3": {"tie_word_embeddings": True},
}


@pytest.mark.serving_smoke
@pytest.mark.parametrize("family", FAMILIES)
def test_family(family, tmp_path):
    model = random_model(family, **OWN.get(family, {}))
    with running(saved(model, tmp_path), chunked_prefill_size=64) as engine:
        assert_greedy(engine, model)


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3_moe"])
def test_launches_of_a_layer(family, tmp_path):
    launches = {}
    for layers in (1, 8):
        model = random_model(family, num_hidden_layers=layers, **OWN.get(family, {}))
        with running(saved(model, tmp_path / str(layers))) as engine:
            greedy(engine, tokens=2)
            counts = [state(engine)["counters"]["launches"]]
            for tokens in (4, 12):
                greedy(engine, tokens=tokens)
                counts.append(state(engine)["counters"]["launches"])
            launches[layers] = (counts[2] - 2 * counts[1] + counts[0]) / 8
    a_layer = (launches[8] - launches[1]) / 7
    print(f"{family}: {a_layer:.1f} launches a layer, {launches[1] - a_layer:.1f} a step beside")
    assert a_layer <= 20

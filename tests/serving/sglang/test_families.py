"""Model families from SGLang's own model files, with random weights, against transformers."""

from __future__ import annotations

import copy

import pytest
from families import FAMILIES, PROMPTS
from greedy import compare_bfloat16, compare_greedy
from sglang_engine import (
    NoFallbacks,
    assert_greedy,
    assert_radix_hits,
    greedy,
    ids_of,
    running,
    state,
)


@pytest.mark.serving_smoke
@pytest.mark.parametrize("family", FAMILIES)
def test_family_and_the_radix_cache(family, model_of):
    model, folder = model_of(family)
    with running(folder, chunked_prefill_size=64) as engine:
        assert_greedy(engine, model)
        assert_radix_hits(engine, model)


@pytest.mark.parametrize("page_size", [1, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_page_sizes_and_the_radix_cache(family, page_size, model_of):
    model, folder = model_of(family)
    with running(folder, page_size=page_size, enable_mixed_chunk=page_size == 1) as engine:
        assert_greedy(engine, model)
        assert_radix_hits(engine, model, page_size)


@pytest.mark.parametrize("family", FAMILIES)
def test_retraction(family, model_of):
    """Eight requests grow beyond the cache until some must give way and start again."""
    model, folder = model_of(family)
    options = {"schedule_conservativeness": 0.0, "disable_radix_cache": True}
    with running(folder, max_total_tokens=512, **options) as engine:
        # Of requests that may not end early, SGLang takes up no more than fit.
        params = {"temperature": 0, "max_new_tokens": 96}
        with NoFallbacks(engine):
            outputs = engine.generate(input_ids=ids_of(PROMPTS), sampling_params=params)
    assert sum(output["meta_info"]["num_retractions"] for output in outputs) > 0
    tokens = [output["output_ids"] for output in outputs]
    compare_greedy(model, zip(ids_of(PROMPTS), tokens, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_overlap_scheduling(family, model_of):
    model, folder = model_of(family)
    with running(folder, disable_overlap_schedule=True) as engine:
        assert_greedy(engine, model)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16(family, model_of):
    model, folder = model_of(family)
    rounded = copy.deepcopy(model).bfloat16().float()
    with running(folder, dtype="bfloat16") as engine, NoFallbacks(engine):
        outputs = greedy(engine)
    compare_bfloat16(rounded, zip(ids_of(PROMPTS), outputs, strict=True))


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3_moe"])
def test_launches_of_a_layer(family, model_of):
    launches = {}
    for layers in (1, 8):
        with running(model_of(family, layers)[1]) as engine:
            greedy(engine, tokens=2)
            counts = [state(engine)["counters"]["launches"]]
            for tokens in (4, 12):
                greedy(engine, tokens=tokens)
                counts.append(state(engine)["counters"]["launches"])
            launches[layers] = (counts[2] - 2 * counts[1] + counts[0]) / 8
    a_layer = (launches[8] - launches[1]) / 7
    print(f"{family}: {a_layer:.1f} launches a layer, {launches[1] - a_layer:.1f} a step beside")
    assert a_layer <= 20

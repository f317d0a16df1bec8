"""Model families from vLLM's own model files, with random weights, against transformers."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES, PROMPTS, random_model, saved
from greedy import compare_bfloat16
from vllm_engine import NGRAM, compare, greedy, metric, pairs, running


def checked(engine, model) -> None:
    """Tokens equal those of the CPU, and nothing leaves the device."""
    greedy(engine, PROMPTS, 2)
    torch.npu.reset_fallback_stats()
    outputs = greedy(engine, PROMPTS)
    assert torch.npu.fallback_stats() == {}
    assert compare(model, outputs) <= 1


@pytest.mark.serving_smoke
@pytest.mark.parametrize("family", FAMILIES)
def test_family_and_prefix_caching(family, tmp_path):
    """Asynchronous scheduling, prompts in pieces beside requests that decode, cached prefixes."""
    model = random_model(family)
    options = {"max_num_batched_tokens": 64, "disable_log_stats": False}
    with running(saved(model, tmp_path), async_scheduling=True, **options) as engine:
        checked(engine, model)
        before = metric(engine, "vllm:prefix_cache_hits")
        outputs = greedy(engine, [PROMPTS[2] + "# twice", PROMPTS[2] + "x = 1"])
        assert metric(engine, "vllm:prefix_cache_hits") - before >= 2 * 32
        compare(model, outputs)


@pytest.mark.parametrize("family", FAMILIES)
def test_preemption(family, tmp_path):
    """Synchronous scheduling, pages of 32 tokens and too few of them."""
    model = random_model(family)
    with running(
        saved(model, tmp_path),
        async_scheduling=False,
        block_size=32,
        max_model_len=128,
        num_gpu_blocks_override={"gemma3": 40}.get(family, 12),  # it has seven groups of layers
        disable_log_stats=False,
        enable_prefix_caching=False,
    ) as engine:
        checked(engine, model)
        assert metric(engine, "vllm:num_preemptions") > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_speculation(family, tmp_path):
    """Drafts from the text itself, pages of 64 tokens; tokens equal those without drafts."""
    model = random_model(family)
    with running(
        saved(model, tmp_path), speculative_config=NGRAM, block_size=64, disable_log_stats=False
    ) as engine:
        checked(engine, model)
        assert metric(engine, "vllm:spec_decode_num_draft_tokens") > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16(family, tmp_path):
    """Each token is the best, or nearly so, of float32 arithmetic with the same weights."""
    model = random_model(family).bfloat16().float()
    with running(saved(model, tmp_path), dtype="bfloat16") as engine:
        greedy(engine, PROMPTS, 2)
        torch.npu.reset_fallback_stats()
        outputs = greedy(engine, PROMPTS)
        assert torch.npu.fallback_stats() == {}
    compare_bfloat16(model, pairs(outputs))


@pytest.mark.parametrize("family", ["llama", "gemma3", "mixtral", "qwen3_moe"])
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

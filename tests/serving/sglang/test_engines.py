"""What needs an engine of its own: page sizes, preemption, seeds, dtypes, memory."""

from __future__ import annotations

import psutil
import pytest
import torch
import transformers
from families import DEMO, PROMPTS
from greedy import compare_greedy
from sglang_engine import NoFallbacks, assert_greedy, greedy, ids_of, running, state


@pytest.mark.parametrize("page_size", [1, 64])
def test_page_sizes_and_the_radix_cache(reference, page_size):
    prefix = "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n" * 4
    with running(page_size=page_size, enable_mixed_chunk=page_size == 1) as engine:
        assert_greedy(engine, reference)
        greedy(engine, [prefix], 1)
        prompts = ids_of([prefix + "x = ", prefix + "# "])
        params = {"temperature": 0, "max_new_tokens": 16, "ignore_eos": True}
        outputs = engine.generate(input_ids=prompts, sampling_params=params)
        hits = [output["meta_info"]["cached_tokens"] for output in outputs]
        assert all(hit >= 64 and hit % page_size == 0 for hit in hits)
        tokens = [output["output_ids"] for output in outputs]
        compare_greedy(reference, zip(prompts, tokens, strict=True))


@pytest.mark.parametrize("page_size", [1, 16])
def test_retraction(reference, page_size):
    """Eight requests grow beyond the cache until some must give way and start again."""
    options = {"schedule_conservativeness": 0.0, "disable_radix_cache": True}
    with running(page_size=page_size, max_total_tokens=512, **options) as engine:
        # Of requests that may not end early, SGLang takes up no more than fit.
        params = {"temperature": 0, "max_new_tokens": 96}
        with NoFallbacks(engine):
            outputs = engine.generate(input_ids=ids_of(PROMPTS), sampling_params=params)
        assert sum(output["meta_info"]["num_retractions"] for output in outputs) > 0
        tokens = [output["output_ids"] for output in outputs]
        compare_greedy(reference, zip(ids_of(PROMPTS), tokens, strict=True))


def test_without_overlap_scheduling(reference):
    with running(disable_overlap_schedule=True) as engine:
        assert_greedy(engine, reference)


def test_seeds():
    def draw(engine, seed, **options):
        params = {"temperature": 1.0, "max_new_tokens": 16, "ignore_eos": True, **options}
        outputs = engine.generate(PROMPTS[:4], {**params, "sampling_seed": seed})
        return [output["output_ids"] for output in outputs]

    with running(enable_deterministic_inference=True) as engine:
        with NoFallbacks(engine):
            first = draw(engine, 7)
        assert first == draw(engine, 7)
        assert first != draw(engine, 8)
        assert draw(engine, 7, top_k=20) == draw(engine, 7, top_k=20)
    with running(enable_deterministic_inference=True) as engine:
        assert first == draw(engine, 7)


def test_bfloat16():
    model = transformers.AutoModelForCausalLM.from_pretrained(DEMO, dtype=torch.bfloat16).eval()
    with running(dtype="bfloat16") as engine, NoFallbacks(engine):
        outputs = engine.generate(
            input_ids=ids_of(PROMPTS),
            sampling_params={"temperature": 0, "max_new_tokens": 1},
            return_logprob=True,
            top_logprobs_num=1,
        )
    # bfloat16 keeps 8 bits: logits agree to some 2**-6 of their range.
    for ids, output in zip(ids_of(PROMPTS), outputs, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1].float()
        value, token, _ = output["meta_info"]["output_top_logprobs"][0][0]
        spread = logits.max() - logits.min()
        assert abs(value - logits.log_softmax(-1)[token]) <= spread / 64


def test_embeddings():
    model = transformers.AutoModel.from_pretrained(DEMO, dtype=torch.float32).eval()
    with running(is_embedding=True) as engine, NoFallbacks(engine):
        outputs = engine.encode(PROMPTS)
    for ids, output in zip(ids_of(PROMPTS), outputs, strict=True):
        with torch.no_grad():
            last = model(torch.tensor([ids])).last_hidden_state[0, -1]
        embedding = torch.tensor(output["embedding"])
        torch.testing.assert_close(embedding, torch.nn.functional.normalize(last, dim=0))


def test_untouched_pages_cost_nothing():
    before = set(psutil.Process().children(recursive=True))
    with running(max_total_tokens=400_000) as engine:  # 800 MB of cache
        used = state(engine)["memory_allocated"]
        assert used > 750e6
        own = set(psutil.Process().children(recursive=True)) - before
        anonymous = max(p.memory_info().rss - p.memory_info().shared for p in own)
        assert anonymous < used
        greedy(engine, tokens=4)


def test_a_request_beyond_the_cache_is_refused():
    with running(max_total_tokens=128, disable_radix_cache=True) as engine:
        with pytest.raises(ValueError, match="KV cache|maximum|token"):
            greedy(engine, ["x = 1\n" * 60], 4)
        assert greedy(engine, ["import os"], 4)

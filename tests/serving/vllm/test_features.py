"""The engine's features with the shipped model, in float32."""

from __future__ import annotations

import json
import re

import pytest
import torch
from families import PROMPTS
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import StructuredOutputsParams
from vllm_engine import compare, greedy, metric, tokens_of

pytestmark = pytest.mark.serving_smoke


def test_greedy_equals_transformers_without_fallbacks(llm, reference):
    greedy(llm, PROMPTS, 2)
    torch.npu.reset_fallback_stats()
    outputs = greedy(llm, PROMPTS)
    assert torch.npu.fallback_stats() == {}
    assert compare(reference, outputs) <= 1


def test_chunked_prefill(llm, reference):
    # 1,200 tokens of prompts against 256 a step, beside requests that decode.
    long = [" ".join(f"{word}{i}" for i in range(60)) for word in ("a", "bc", "d")]
    outputs = greedy(llm, [*PROMPTS[:3], *long], 16)
    assert sum(len(o.prompt_token_ids) for o in outputs) > 500
    compare(reference, outputs)


def test_ragged_lengths(llm, reference):
    params = [
        SamplingParams(temperature=0, max_tokens=4 + 7 * i, ignore_eos=True)
        for i in range(len(PROMPTS))
    ]
    outputs = llm.generate(PROMPTS, params, use_tqdm=False)
    assert [len(t) for t in tokens_of(outputs)] == [4 + 7 * i for i in range(len(PROMPTS))]
    compare(reference, outputs)


def test_prefix_caching(llm, reference):
    prefix = "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n" * 4
    greedy(llm, [prefix], 1)
    before = metric(llm, "vllm:prefix_cache_hits")
    outputs = greedy(llm, [prefix + "x = ", prefix + "# "], 16)
    assert metric(llm, "vllm:prefix_cache_hits") - before >= 2 * 64
    compare(reference, outputs)


def test_stop_strings(llm):
    (output,) = llm.generate(
        ["def main():"],
        SamplingParams(temperature=0, max_tokens=64, stop=["the"]),
        use_tqdm=False,
    )
    assert output.outputs[0].finish_reason == "stop"
    assert "the" not in output.outputs[0].text


def test_logits_and_prompt_logprobs(llm, reference):
    params = SamplingParams(temperature=0, max_tokens=1, logprobs=-1, prompt_logprobs=0)
    (output,) = llm.generate([PROMPTS[2]], params, use_tqdm=False)
    ids = list(output.prompt_token_ids)
    with torch.no_grad():
        logits = reference(torch.tensor([ids])).logits[0]
    row = output.outputs[0].logprobs[0]
    mine = torch.tensor([row[i].logprob for i in range(logits.shape[1])])
    wanted = logits[-1]
    assert (mine - wanted).abs().max() <= 1e-4 * (wanted.max() - wanted.min())
    for at, entry in enumerate(output.prompt_logprobs[1:]):
        spread = logits[at].max() - logits[at].min()
        assert abs(entry[ids[at + 1]].logprob - logits[at, ids[at + 1]]) <= 1e-4 * spread


def kept(llm, prompt: str, **options) -> dict[int, float]:
    """Processed logits of the first token, those that sampling leaves."""
    params = SamplingParams(max_tokens=1, logprobs=-1, seed=1, **options)
    (output,) = llm.generate([prompt], params, use_tqdm=False)
    row = output.outputs[0].logprobs[0]
    return {i: e.logprob for i, e in row.items() if e.logprob > float("-inf")}


@pytest.mark.parametrize("rule", ["temperature", "top_k", "top_p", "min_p"])
def test_processed_logits(llm, reference, rule):
    prompt = PROMPTS[0]
    ids = llm.get_tokenizer()(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = reference(ids).logits[0, -1]
    options = {"temperature": 0.7}
    wanted = logits / 0.7
    probabilities = wanted.softmax(-1)
    order = probabilities.argsort(descending=True)
    if rule == "temperature":
        chosen = set(range(len(logits)))
    elif rule == "top_k":
        options["top_k"] = 10
        chosen = set(order[:10].tolist())
    elif rule == "top_p":
        options["top_p"] = 0.8
        before = probabilities[order].cumsum(0) - probabilities[order]
        chosen = set(order[before < 0.8].tolist())
    else:
        options["min_p"] = 0.05
        chosen = set((probabilities >= 0.05 * probabilities.max()).nonzero().flatten().tolist())
    mine = kept(llm, prompt, **options)
    assert set(mine) == chosen
    spread = wanted.max() - wanted.min()
    assert all(abs(mine[i] - wanted[i]) <= 1e-4 * spread for i in chosen)


def test_penalties(llm, reference):
    """Repetition counts the prompt and the output, presence and frequency the output alone."""
    params = SamplingParams(
        max_tokens=8,
        ignore_eos=True,
        logprobs=-1,
        seed=1,
        temperature=1.0,
        top_k=4,
        repetition_penalty=1.3,
        presence_penalty=0.5,
        frequency_penalty=0.5,
    )
    (output,) = llm.generate([PROMPTS[2]], params, use_tqdm=False)
    prompt, tokens = list(output.prompt_token_ids), list(output.outputs[0].token_ids)
    with torch.no_grad():
        logits = reference(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    for at, (wanted, row) in enumerate(zip(logits, output.outputs[0].logprobs, strict=True)):
        spread = wanted.max() - wanted.min()
        seen = torch.tensor(prompt + tokens[:at]).unique()
        wanted[seen] = torch.where(wanted[seen] > 0, wanted[seen] / 1.3, wanted[seen] * 1.3)
        counts = torch.bincount(torch.tensor(tokens[:at]).long(), minlength=len(wanted))
        wanted -= 0.5 * counts + 0.5 * (counts > 0)
        mine = {i: entry.logprob for i, entry in row.items() if entry.logprob > float("-inf")}
        assert set(mine) == set(wanted.topk(4).indices.tolist())
        assert all(abs(mine[i] - wanted[i]) <= 1e-4 * spread for i in mine)
    assert len(set(tokens)) < len(tokens) or len(set(prompt) & set(tokens)) > 0


def test_seeds(llm):
    def draw(seed):
        params = SamplingParams(temperature=1.0, max_tokens=16, seed=seed, ignore_eos=True)
        return tokens_of(llm.generate(PROMPTS[:4], params, use_tqdm=False))

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_frequencies(llm, reference):
    from scipy.stats import chisquare

    draws = 10_000
    params = SamplingParams(n=draws, temperature=1.0, top_k=20, max_tokens=1, seed=3)
    (output,) = llm.generate([PROMPTS[0]], params, use_tqdm=False)
    counts = torch.zeros(reference.config.vocab_size)
    for sample in output.outputs:
        counts[sample.token_ids[0]] += 1
    with torch.no_grad():
        logits = reference(torch.tensor([list(output.prompt_token_ids)])).logits[0, -1]
    values, ids = logits.topk(20)
    assert counts.sum() == draws == counts[ids].sum()
    assert chisquare(counts[ids], draws * values.double().softmax(-1)).pvalue > 0.001


def test_structured_output(llm):
    def ask(**grammar):
        params = SamplingParams(
            temperature=0, max_tokens=64, structured_outputs=StructuredOutputsParams(**grammar)
        )
        return llm.generate(["The answer: "], params, use_tqdm=False)[0].outputs[0].text

    assert ask(choice=["yes", "no"]) in ("yes", "no")
    assert re.fullmatch(r"[a-f]{3}-\d{2}", ask(regex=r"[a-f]{3}-\d{2}"))
    schema = {
        "type": "object",
        "properties": {"flag": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
        "required": ["flag", "kind"],
        "additionalProperties": False,
    }
    answer = json.loads(ask(json=schema))
    assert set(answer) == {"flag", "kind"}


def test_no_fallbacks_in_sampling(llm):
    torch.npu.reset_fallback_stats()
    params = SamplingParams(
        temperature=0.8,
        top_k=20,
        top_p=0.9,
        min_p=0.01,
        repetition_penalty=1.1,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        logprobs=3,
        max_tokens=8,
        seed=1,
    )
    llm.generate(PROMPTS, params, use_tqdm=False)
    params = SamplingParams(
        max_tokens=8, structured_outputs=StructuredOutputsParams(regex=r"[a-z]{4}")
    )
    llm.generate(PROMPTS[:2], params, use_tqdm=False)
    assert torch.npu.fallback_stats() == {}


def test_a_request_beyond_the_context_is_refused(llm):
    with pytest.raises(VLLMValidationError, match="maximum context length"):
        greedy(llm, ["x = 1\n" * 600], 4)
    assert tokens_of(greedy(llm, ["import os"], 4))

"""The engine's features with the shipped model, in float32."""

from __future__ import annotations

import json
import re

import pytest
import torch
from families import PROMPTS
from greedy import compare_greedy
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang_engine import NoFallbacks, assert_greedy, assert_radix_hits, greedy, ids_of, running

EVERY = 4096  # the shipped model's vocabulary, and the most whose logits SGLang tells


@pytest.fixture(scope="module")
def engine():
    with running(constrained_json_disable_any_whitespace=True) as it:
        yield it


def ask(engine, ids, **options) -> dict:
    """One reply with what Engine.generate does not offer."""
    request = GenerateReqInput(input_ids=ids, **options)
    replies = engine.tokenizer_manager.generate_request(request, None)
    return engine.loop.run_until_complete(replies.__anext__())


def logits_of(reference, ids) -> torch.Tensor:
    with torch.no_grad():
        return reference(torch.tensor([ids])).logits[0]


@pytest.mark.serving_smoke
def test_greedy_equals_transformers(engine, reference):
    assert_greedy(engine, reference)


@pytest.mark.serving_smoke
def test_chunked_prefill(engine, reference):
    # 1,200 tokens of prompts against 256 a step, beside requests that decode.
    long = [" ".join(f"{word}{i}" for i in range(60)) for word in ("a", "bc", "d")]
    prompts = [*PROMPTS[:3], *long]
    assert sum(len(ids) for ids in ids_of(prompts)) > 500
    assert_greedy(engine, reference, prompts, 16)


@pytest.mark.serving_smoke
def test_ragged_lengths(engine, reference):
    lengths = [4 + 7 * i for i in range(len(PROMPTS))]
    params = [{"temperature": 0, "max_new_tokens": n, "ignore_eos": True} for n in lengths]
    with NoFallbacks(engine):
        outputs = engine.generate(input_ids=ids_of(PROMPTS), sampling_params=params)
    tokens = [output["output_ids"] for output in outputs]
    assert [len(t) for t in tokens] == lengths
    compare_greedy(reference, zip(ids_of(PROMPTS), tokens, strict=True))


@pytest.mark.serving_smoke
def test_radix_cache(engine, reference):
    assert_radix_hits(engine, reference)


def test_stop_strings(engine):
    params = {"temperature": 0, "max_new_tokens": 64, "stop": ["the"]}
    output = engine.generate("def main():", params)
    assert output["meta_info"]["finish_reason"] == {"type": "stop", "matched": "the"}
    assert "the" not in output["text"]


@pytest.mark.serving_smoke
def test_streaming(engine):
    params = {"temperature": 0, "max_new_tokens": 24, "ignore_eos": True}
    pieces = [part["text"] for part in engine.generate("def main():", params, stream=True)]
    assert len(pieces) > 10
    assert pieces[-1] == engine.generate("def main():", params)["text"]


@pytest.mark.serving_smoke
def test_logprobs_of_tokens_and_prompts(engine, reference):
    (ids,) = ids_of([PROMPTS[2]])
    logits = logits_of(reference, ids)
    every = list(range(logits.shape[1]))
    with NoFallbacks(engine):
        output = engine.generate(
            input_ids=ids,
            sampling_params={"temperature": 0, "max_new_tokens": 1},
            return_logprob=True,
            logprob_start_len=0,
            token_ids_logprob=every,
        )
    wanted = logits.log_softmax(-1)
    spread = (logits.max(-1).values - logits.min(-1).values)[:, None]
    row = output["meta_info"]["output_token_ids_logprobs"][0]
    mine = torch.tensor([value for value, _, _ in row])
    assert [token for _, token, _ in row] == every
    assert (mine - wanted[-1]).abs().max() <= 1e-4 * spread[-1]
    entries = output["meta_info"]["input_token_logprobs"]
    assert [token for _, token, _ in entries] == ids
    for at, (value, token, _) in enumerate(entries[1:]):
        assert abs(value - wanted[at, token]) <= 1e-4 * spread[at]


def kept(engine, ids, **params) -> dict[int, float]:
    """Processed logits, up to a constant, of the first token: those that sampling leaves."""
    reply = ask(
        engine,
        ids,
        sampling_params={"max_new_tokens": 1, "top_k": EVERY, **params},
        return_sampling_mask=True,
        sampling_logprobs_mode="support",
    )
    info = reply["meta_info"]
    tokens = info["output_token_sampling_mask"][0]
    return dict(zip(tokens, info["output_token_sampling_logprobs"][0], strict=True))


def assert_processed(mine: dict[int, float], wanted: torch.Tensor, chosen: set[int]) -> None:
    """Compare with the CPU's logits, normalised over those that are left."""
    assert set(mine) == chosen
    order = sorted(chosen)
    expected = wanted[order].log_softmax(0)
    values = torch.tensor([mine[i] for i in order])
    assert (values - expected).abs().max() <= 1e-4 * (wanted.max() - wanted.min())


@pytest.mark.parametrize("rule", ["temperature", "top_k", "top_p", "min_p"])
def test_processed_logits(engine, reference, rule):
    (ids,) = ids_of(PROMPTS[:1])
    wanted = logits_of(reference, ids)[-1] / 0.7
    probabilities = wanted.softmax(-1)
    order = probabilities.argsort(descending=True)
    options = {"temperature": 0.7}
    chosen = set(range(len(wanted)))
    if rule == "top_k":
        options["top_k"] = 10
        chosen = set(order[:10].tolist())
    elif rule == "top_p":
        options["top_p"] = 0.8
        before = probabilities[order].cumsum(0) - probabilities[order]
        chosen = set(order[before < 0.8].tolist())
    elif rule == "min_p":
        options["min_p"] = 0.05
        chosen = set((probabilities >= 0.05 * probabilities.max()).nonzero().flatten().tolist())
    with NoFallbacks(engine):
        mine = kept(engine, ids, **options)
    assert_processed(mine, wanted, chosen)


def test_penalties(engine, reference):
    """Of the second token: with overlap scheduling, SGLang counts tokens one step late."""
    (ids,) = ids_of([PROMPTS[2]])
    with NoFallbacks(engine):
        reply = ask(
            engine,
            ids,
            sampling_params={
                "max_new_tokens": 2,
                "temperature": 1.0,
                "top_k": EVERY,
                "repetition_penalty": 1.3,
                "presence_penalty": 0.5,
                "frequency_penalty": 0.25,
            },
            return_sampling_mask=True,
            sampling_logprobs_mode="support",
        )
    wanted = logits_of(reference, [*ids, reply["output_ids"][0]])[-1].clone()
    counted = ids[-1]
    at = wanted[counted] - 0.5 - 0.25
    wanted[counted] = at / 1.3 if at > 0 else at * 1.3
    info = reply["meta_info"]
    tokens = info["output_token_sampling_mask"][1]
    mine = dict(zip(tokens, info["output_token_sampling_logprobs"][1], strict=True))
    assert_processed(mine, wanted, set(range(len(wanted))))


def test_frequencies(engine, reference):
    from scipy.stats import chisquare

    draws = 10_000
    (ids,) = ids_of(PROMPTS[:1])
    params = {"n": 100, "temperature": 1.0, "top_k": 20, "max_new_tokens": 1}
    outputs = engine.generate(input_ids=[ids] * (draws // 100), sampling_params=params)
    logits = logits_of(reference, ids)[-1]
    counts = torch.zeros(len(logits))
    for output in outputs:
        counts[output["output_ids"][0]] += 1
    values, tokens = logits.topk(20)
    assert counts.sum() == draws == counts[tokens].sum()
    assert chisquare(counts[tokens], draws * values.double().softmax(-1)).pvalue > 0.001


@pytest.mark.serving_smoke
def test_structured_output(engine):
    def reply(**grammar):
        params = {"temperature": 0, "max_new_tokens": 64, **grammar}
        return engine.generate("The answer: ", params)["text"]

    with NoFallbacks(engine):
        assert reply(regex="yes|no") in ("yes", "no")
        assert reply(ebnf='root ::= "left" | "right"') in ("left", "right")
        assert re.fullmatch(r"[a-f]{3}-\d{2}", reply(regex=r"[a-f]{3}-\d{2}"))
        schema = {
            "type": "object",
            "properties": {"flag": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
            "required": ["flag", "kind"],
            "additionalProperties": False,
        }
        assert set(json.loads(reply(json_schema=json.dumps(schema)))) == {"flag", "kind"}


@pytest.mark.serving_smoke
def test_no_fallbacks_in_sampling(engine):
    params = {
        "temperature": 0.8,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "max_new_tokens": 8,
        "logit_bias": {"17": -100.0},
    }
    with NoFallbacks(engine):
        engine.generate(PROMPTS, params, return_logprob=True, top_logprobs_num=3)


def test_a_request_beyond_the_context_is_refused(engine):
    with pytest.raises(ValueError, match="context length"):
        greedy(engine, ["x = 1\n" * 600], 4)
    assert greedy(engine, ["import os"], 4)

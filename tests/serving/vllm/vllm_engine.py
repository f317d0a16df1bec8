"""Engines that clean up behind themselves, and what the tests ask them."""

from __future__ import annotations

import contextlib
import gc

import torch
from families import DEMO
from greedy import compare_greedy
from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory

NGRAM = {
    "method": "ngram",
    "num_speculative_tokens": 3,
    "prompt_lookup_max": 4,
    "prompt_lookup_min": 2,
}


@contextlib.contextmanager
def running(model: str = DEMO, **options):
    """An engine; at the end, no tensor of it is left on the device."""
    options = {
        "dtype": "float32",
        "max_model_len": 512,
        "max_num_batched_tokens": 256,
        "max_num_seqs": 64,
        **options,
    }
    try:
        llm = LLM(model=model, **options)
    except Exception:
        cleanup_dist_env_and_memory()
        raise
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()
        vars(llm).clear()  # the test still holds the object
        gc.collect()
        torch.npu.empty_cache()
    assert torch.npu.memory_allocated() < 1 << 16


def metric(llm, name: str) -> float:
    return sum(m.value for m in llm.get_metrics() if m.name == name)


def greedy(llm, prompts, tokens: int = 32, **options):
    params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, **options)
    return llm.generate(prompts, params, use_tqdm=False)


def tokens_of(outputs) -> list[list[int]]:
    return [list(o.outputs[0].token_ids) for o in outputs]


def pairs(outputs) -> list[tuple[list[int], list[int]]]:
    """Tokens of each prompt and of its output."""
    return [(list(o.prompt_token_ids), list(o.outputs[0].token_ids)) for o in outputs]


def compare(model, outputs) -> int:
    """How many of the greedy outputs end in a near-tie; any other difference is an error."""
    return compare_greedy(model, pairs(outputs))

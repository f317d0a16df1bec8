"""Engines that clean up behind themselves, and what the tests ask them."""

from __future__ import annotations

import collections
import contextlib
import functools

import psutil
import pytest
import sglang
import sglang.srt.entrypoints.engine
import transformers
from families import DEMO, PROMPTS
from greedy import compare_greedy


def _failed(*args) -> None:
    raise RuntimeError("a process of the engine has failed")


@contextlib.contextmanager
def running(model: str = DEMO, **options):
    """An engine; at the end, no process of it, and hence none of its memory, is left."""
    options = {
        "dtype": "float32",
        "context_length": 512,
        "chunked_prefill_size": 256,
        "max_running_requests": 64,
        "max_total_tokens": 1 << 15,
        "random_seed": 0,
        "log_level": "error",
        "skip_server_warmup": True,
        "custom_sigquit_handler": _failed,  # SGLang's own kills all of pytest
        **options,
    }
    before = set(psutil.Process().children(recursive=True))
    engine = sglang.Engine(model_path=model, **options)
    try:
        yield engine
    finally:
        own = set(psutil.Process().children(recursive=True)) - before

        def kill(*args, **kwargs) -> None:  # SGLang's would kill the process that tests fork from
            for process in own:
                process.kill()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sglang.srt.entrypoints.engine, "kill_process_tree", kill)
            engine.shutdown()
        _, alive = psutil.wait_procs(own, 20)
        assert not alive


def state(engine) -> dict:
    """What the engine says of the device: fallbacks, counters, memory_allocated."""
    return engine.get_server_info()["internal_states"][0]["npu"]


class NoFallbacks(contextlib.AbstractContextManager):
    """Nothing within leaves the device."""

    def __init__(self, engine) -> None:
        self.engine = engine
        self.before = collections.Counter(state(engine)["fallbacks"])

    def __exit__(self, kind, *rest) -> None:
        if kind is None:
            after = collections.Counter(state(self.engine)["fallbacks"])
            assert after - self.before == {}


@functools.cache
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(DEMO)


def ids_of(prompts: list[str]) -> list[list[int]]:
    return tokenizer()(prompts).input_ids


def greedy(engine, prompts=None, tokens: int = 32, **options) -> list[list[int]]:
    """Greedy outputs' tokens."""
    params = {"temperature": 0, "max_new_tokens": tokens, "ignore_eos": True, **options}
    outputs = engine.generate(input_ids=ids_of(prompts or PROMPTS), sampling_params=params)
    return [output["output_ids"] for output in outputs]


def assert_greedy(engine, model, prompts=None, tokens: int = 32, **options) -> None:
    """Greedy outputs equal transformers', and nothing leaves the device."""
    prompts = prompts or PROMPTS
    with NoFallbacks(engine):
        outputs = greedy(engine, prompts, tokens, **options)
    assert compare_greedy(model, zip(ids_of(prompts), outputs, strict=True)) <= 1


def assert_radix_hits(engine, model, page_size: int = 16) -> None:
    """What two prompts share is computed once, and their greedy outputs equal transformers'."""
    prefix = "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n" * 4
    greedy(engine, [prefix], 1)
    prompts = ids_of([prefix + "x = ", prefix + "# "])
    params = {"temperature": 0, "max_new_tokens": 16, "ignore_eos": True}
    outputs = engine.generate(input_ids=prompts, sampling_params=params)
    hits = [output["meta_info"]["cached_tokens"] for output in outputs]
    assert all(hit >= 64 and hit % page_size == 0 for hit in hits)
    tokens = [output["output_ids"] for output in outputs]
    compare_greedy(model, zip(prompts, tokens, strict=True))

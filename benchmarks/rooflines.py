"""Simulated: what the library's kernels reach of the peaks of `n1`, launch cost apart."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from figures import Figure

TOPIC = "simulated rooflines"
# A rate is measured against the matrix engine's peak, counting useful multiply-accumulates, or
# against the bandwidth that streams get: the memory's peak times its documented stream efficiency.
MATRIX, STREAM = "of the peak matrix rate", "of streaming bandwidth"
ATTENTION = "--heads 32 --kv-heads 8 --head-dim 128"
# Answers to what `npu-torch time` has no words for.
Answer = Callable[[], dict[str, Any]]


def vllm_decode(contexts: list[int]) -> Answer:
    """Paged attention where keys and values lie as vLLM keeps them."""

    def answer() -> dict[str, Any]:
        from npu_torch import _C
        from npu_torch.estimate.kernels import paged_attention
        from npu_torch.estimate.tensors import vllm_kv_cache

        estimator = _C.Estimator("n1", [])
        paged_attention(estimator, contexts, 32, 8, 128, 16, "bf16", vllm_kv_cache)()
        return dict(estimator.total())

    return answer


def ragged(sequences: int, longest: int) -> list[int]:
    """Lengths of a decode batch."""
    random = Random(sequences)
    return [random.randint(1, longest) for _ in range(sequences)]


KERNELS: list[tuple[str, str, float, str | Answer]] = [
    ("gemm 4096x4096x4096", MATRIX, 0.90, "gemm 4096x4096x4096"),
    ("gemm 2048x2048x2048", MATRIX, 0.80, "gemm 2048x2048x2048"),
    ("gemm 64x4096x14336", STREAM, 0.92, "gemm 64x4096x14336"),
    (
        "causal attention, 4,096 tokens",
        MATRIX,
        0.75,
        f"attention {ATTENTION} --tokens 4096 --causal",
    ),
    (
        "paged attention, 64 x 2,048 tokens",
        STREAM,
        0.88,
        f"paged_attention --batch 64 {ATTENTION} --context 2048 --block 16",
    ),
    ("paged attention, 64 x 2,048 tokens in vLLM's cache", STREAM, 0.88, vllm_decode([2048] * 64)),
    ("paged attention, 64 x 1 to 4,096 tokens", STREAM, 0.92, vllm_decode(ragged(64, 4096))),
    ("paged attention, 1 x 131,072 and 63 x 100", STREAM, 0.90, vllm_decode([131072] + [100] * 63)),
    ("paged attention, 256 x 1 to 400 tokens", STREAM, 0.80, vllm_decode(ragged(256, 400))),
    (
        "layer of Qwen3-30B-A3B, decode step of 8 x 1,000",
        STREAM,
        0.85,
        "layer --model qwen3-30b-a3b --batch 8 --context 1000",
    ),
    ("rms_norm 16384x4096", STREAM, 0.95, "rms_norm 16384x4096"),
    ("softmax 16384x4096", STREAM, 0.95, "softmax 16384x4096"),
    ("silu_and_mul 16384x4096", STREAM, 0.95, "silu_and_mul 16384x4096"),
    ("cast 64Mi", STREAM, 0.95, "cast 64Mi"),
    ("copy 64Mi", STREAM, 0.95, "copy 64Mi"),
]
# Simulated time is the same everywhere; a change of the timing model is no regression of a kernel.
SLACK = 1.005


def answer(question: str) -> dict[str, Any]:
    """What `npu-torch time` says, in this process."""
    from npu_torch.commands import time

    parser = argparse.ArgumentParser()
    time.register(parser.add_subparsers())
    return time.estimate(parser.parse_args(["time", *question.split(), "--repeat", "0"]))


def figures(only: str) -> Iterator[Figure]:
    """The kernels whose names contain `only`."""
    for name, unit, least, question in KERNELS:
        if only not in f"{TOPIC}: {name}":
            continue
        said = answer(f"{question} --arch n1") if isinstance(question, str) else question()
        share = said["matrix_utilization"]
        if unit == STREAM:
            share = said["hbm_utilization"] / said["hbm_stream_efficiency"]
        keys = ("device_ns", "macs", "hbm_bytes", "bound_by", "matrix_utilization")
        keys += ("hbm_utilization", "hbm_stream_efficiency")
        details = {key: said[key] for key in keys}
        yield Figure(TOPIC, name, share, least, unit, True, SLACK, details)

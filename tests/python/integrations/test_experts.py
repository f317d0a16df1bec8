"""Mixture of experts: the router, and each expert's product with the tokens that chose it."""

from __future__ import annotations

import pytest
import torch

from npu_torch.integrations.experts import mixture, route

EXPERTS, HIDDEN, WIDTH, K = 16, 32, 24, 2


def gated(x):
    return torch.ops.npu.silu_and_mul(x)


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("renormalize", [True, False])
def test_the_chosen_experts_are_summed_up(tokens, renormalize):
    generator = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, HIDDEN, generator=generator)
    w13 = torch.randn(EXPERTS, 2 * WIDTH, HIDDEN, generator=generator)
    w2 = torch.randn(EXPERTS, HIDDEN, WIDTH, generator=generator)
    logits = torch.randn(tokens, EXPERTS, generator=generator)
    weights, ids = route(logits.npu(), K, renormalize)
    probabilities, chosen = logits.softmax(-1).topk(K)
    if renormalize:
        probabilities /= probabilities.sum(-1, keepdim=True)
    assert torch.equal(ids.cpu(), chosen)
    torch.testing.assert_close(weights.cpu(), probabilities)
    wanted = torch.zeros(tokens, HIDDEN)
    for i in range(tokens):
        for p, e in zip(probabilities[i], chosen[i], strict=True):
            gate, up = (w13[e] @ x[i]).split(WIDTH)
            wanted[i] += p * (w2[e] @ (torch.nn.functional.silu(gate) * up))
    torch.npu.reset_fallback_stats()
    result = mixture(x.npu(), w13.npu(), w2.npu(), weights, ids, gated)
    assert torch.npu.fallback_stats() == {}
    torch.testing.assert_close(result.cpu(), wanted, rtol=1e-4, atol=1e-4)


def test_types_and_the_device_after_a_reset(run_python):
    code = """
import torch
import npu_torch
from npu_torch.integrations.experts import mixture, route
for types in ((torch.float32, torch.int64), (torch.bfloat16, torch.int32)):
    torch.manual_seed(0)
    x, w13, w2 = (torch.randn(size) for size in ((5, 8), (4, 12, 8), (4, 8, 6)))
    weights, ids = torch.rand(5, 2), torch.randint(0, 4, (5, 2))
    x, w13, w2 = (tensor.to(types[0]).npu() for tensor in (x, w13, w2))
    ids = ids.to(types[1]).npu()
    for scale in (weights.npu(), weights.to(types[0]).npu()):
        result = mixture(x, w13, w2, scale, ids, torch.ops.npu.silu_and_mul)
    print(result.dtype, result.float().sum().item())
    torch.npu.reset_device()
"""
    lines = run_python(code).stdout.split()
    assert lines[::2] == ["torch.float32", "torch.bfloat16"]
    assert float(lines[1]) == pytest.approx(float(lines[3]), rel=0.05)


def test_one_tokens_experts_cost_less_than_all():
    """What is not chosen is not read: the number of experts does not matter."""
    times = []
    for experts in (16, 128):
        w13 = torch.ones(experts, 512, 256, device="npu")
        w2 = torch.ones(experts, 256, 256, device="npu")
        x = torch.ones(1, 256, device="npu")
        weights, ids = route(torch.zeros(1, experts, device="npu"), K, True)
        start, end = (torch.npu.Event(enable_timing=True) for _ in range(2))
        start.record()
        mixture(x, w13, w2, weights, ids, gated)
        end.record()
        torch.npu.synchronize()
        times.append(start.elapsed_time(end))
    assert times[1] < 1.5 * times[0]

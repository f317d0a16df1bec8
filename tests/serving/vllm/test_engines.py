"""What needs an engine of its own: page sizes, preemption, memory."""

from __future__ import annotations

import gc

import psutil
import pytest
import torch
import transformers
from families import DEMO, PROMPTS
from vllm import SamplingParams
from vllm_engine import compare, greedy, metric, running, tokens_of


@pytest.mark.parametrize("block_size", [32, 64])
def test_block_sizes_and_preemption(reference, block_size):
    # Room for one request of full length and little more: eight grow until some must give way.
    with running(
        block_size=block_size,
        max_model_len=256,
        num_gpu_blocks_override=256 // block_size + 4,
        disable_log_stats=False,
        enable_prefix_caching=False,
    ) as engine:
        outputs = greedy(engine, PROMPTS, 96)
        assert metric(engine, "vllm:num_preemptions") > 0
        compare(reference, outputs)


def test_untouched_pages_cost_nothing(monkeypatch):
    process = psutil.Process()
    before = process.memory_info().rss
    monkeypatch.setenv("NPU_HBM_LIMIT", "1G")
    with running(dtype="bfloat16") as engine:
        free, total = torch.npu.mem_get_info()
        assert total == 1 << 30
        pages = engine.llm_engine.vllm_config.cache_config.num_gpu_blocks
        layer_bytes = 2 * 2 * 64 * 2 * 16  # keys and values, heads, head size, bfloat16, tokens
        assert pages * 4 * layer_bytes > total // 2
        greedy(engine, PROMPTS, 4)
        assert process.memory_info().rss - before < 256 << 20


def test_speculation(reference):
    speculation = {
        "method": "ngram",
        "num_speculative_tokens": 3,
        "prompt_lookup_max": 4,
        "prompt_lookup_min": 2,
    }
    with running(speculative_config=speculation, disable_log_stats=False) as engine:
        greedy(engine, PROMPTS, 2)
        torch.npu.reset_fallback_stats()
        outputs = greedy(engine, PROMPTS, 32)
        assert metric(engine, "vllm:spec_decode_num_accepted_tokens") > 0
        assert torch.npu.fallback_stats() == {}
        compare(reference, outputs)
        params = SamplingParams(temperature=0.5, seed=5, max_tokens=24, ignore_eos=True)
        mixed = [params, SamplingParams(temperature=0, max_tokens=32, ignore_eos=True)] * 4
        drawn = [engine.generate(PROMPTS, mixed, use_tqdm=False) for _ in range(2)]
        assert tokens_of(drawn[0]) == tokens_of(drawn[1])
        assert tokens_of(drawn[0])[1::2] == tokens_of(outputs)[1::2]
        assert torch.npu.fallback_stats() == {}


def test_embeddings():
    model = transformers.AutoModel.from_pretrained(DEMO, dtype=torch.float32).eval()
    with running(runner="pooling") as engine:
        outputs = engine.embed(PROMPTS, use_tqdm=False)
        assert torch.npu.fallback_stats() == {}
    for output in outputs:
        with torch.no_grad():
            last = model(torch.tensor([output.prompt_token_ids])).last_hidden_state[0, -1]
        embedding = torch.tensor(output.outputs.embedding)
        torch.testing.assert_close(embedding, torch.nn.functional.normalize(last, dim=0))


def test_out_of_memory_at_start(reference):
    """More pages than the memory holds: a clear error, and the next start works."""
    with (
        pytest.raises(torch.OutOfMemoryError, match="npu"),
        running(num_gpu_blocks_override=1 << 20),
    ):
        pass
    gc.collect()
    torch.npu.empty_cache()
    with running() as engine:
        compare(reference, greedy(engine, PROMPTS[:2], 8))

"""What needs an engine of its own: page sizes, preemption, memory."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from families import DEMO, PROMPTS
from vllm import SamplingParams
from vllm_engine import NGRAM, compare, greedy, metric, running, tokens_of


@pytest.mark.parametrize("block_size", [16, 32, 64])
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


LARGE = """
import json, os, sys
import psutil, torch, vllm
from families import DEMO, PROMPTS
if __name__ == "__main__":
    process = psutil.Process()
    torch.zeros(1, device="npu")
    before = process.memory_info().rss
    llm = vllm.LLM(model=DEMO, dtype="bfloat16", max_model_len=512, max_num_seqs=64)
    llm.generate(PROMPTS, vllm.SamplingParams(temperature=0, max_tokens=4), use_tqdm=False)
    pages = llm.llm_engine.vllm_config.cache_config.num_gpu_blocks
    total = torch.npu.get_device_properties(0).total_memory
    print(json.dumps([pages, total, process.memory_info().rss - before]))
"""


def test_untouched_pages_cost_nothing(tmp_path):
    """The whole HBM of machine n1, which may exceed this host's memory, is offered as pages."""
    program = tmp_path / "large.py"
    program.write_text(LARGE)
    environment = {**os.environ, "PYTHONPATH": str(Path(DEMO).parents[3] / "tests" / "serving")}
    del environment["NPU_HBM_LIMIT"]
    run = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stderr[-4000:]
    pages, total, used = json.loads(run.stdout.splitlines()[-1])
    page_bytes = 4 * 2 * 2 * 64 * 2 * 16  # layers, keys and values, heads, head size, bytes, tokens
    assert total == 64 << 30 and pages * page_bytes > total // 2
    print(f"{pages * page_bytes / 2**30:.0f} GiB of pages, {used / 2**20:.0f} MiB of host memory")
    assert used < 1 << 30


def test_speculation(reference):
    with running(speculative_config=NGRAM, disable_log_stats=False) as engine:
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


def test_a_model_length_beyond_the_cache_is_refused(reference):
    """A request of full length would not fit: a clear error, and the next start works."""
    with (
        pytest.raises(ValueError, match="KV cache is needed"),
        running(kv_cache_memory_bytes=1 << 20),
    ):
        pass
    with running() as engine:
        compare(reference, greedy(engine, PROMPTS[:2], 8))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tensor_parallel_size": 2}, "one device, not 2"),
        ({"distributed_executor_backend": "mp"}, "engine's own process"),
        ({"dtype": "float64"}, "float64"),
    ],
)
def test_what_the_platform_does_not_do_is_refused(options, message):
    with pytest.raises(ValueError, match=message), running(**options):
        pass

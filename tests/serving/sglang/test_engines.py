"""What needs an engine of its own: retraction, seeds, embeddings, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from families import DEMO, PROMPTS
from greedy import compare_greedy
from sglang_engine import NoFallbacks, greedy, ids_of, running


@pytest.mark.parametrize("page_size", [1, 16, 64])
def test_retraction_with_pages_of_several_sizes(reference, page_size):
    """Eight requests grow beyond the cache until some must give way and start again."""
    options = {"schedule_conservativeness": 0.0, "disable_radix_cache": True}
    with running(page_size=page_size, max_total_tokens=768, **options) as engine:
        # SGLang takes up no more requests at once than fit with all their tokens, but, once the
        # first has ended, others beside those that have still to grow.
        lengths = [8] + [160] * (len(PROMPTS) - 1)
        params = [{"temperature": 0, "max_new_tokens": length} for length in lengths]
        with NoFallbacks(engine):
            outputs = engine.generate(input_ids=ids_of(PROMPTS), sampling_params=params)
        assert sum(output["meta_info"]["num_retractions"] for output in outputs) > 0
        tokens = [output["output_ids"] for output in outputs]
        compare_greedy(reference, zip(ids_of(PROMPTS), tokens, strict=True))


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


def test_embeddings():
    model = transformers.AutoModel.from_pretrained(DEMO, dtype=torch.float32).eval()
    with running(is_embedding=True) as engine, NoFallbacks(engine):
        outputs = engine.encode(PROMPTS)
    for ids, output in zip(ids_of(PROMPTS), outputs, strict=True):
        with torch.no_grad():
            last = model(torch.tensor([ids])).last_hidden_state[0, -1]
        embedding = torch.tensor(output["embedding"])
        torch.testing.assert_close(embedding, torch.nn.functional.normalize(last, dim=0))


LARGE = """
import json, psutil, sglang
from families import DEMO, PROMPTS
if __name__ == "__main__":
    engine = sglang.Engine(model_path=DEMO, dtype="bfloat16", log_level="error")
    engine.generate(PROMPTS, {"temperature": 0, "max_new_tokens": 4})
    info = engine.get_server_info()
    used = [p.memory_info().rss for p in psutil.Process().children(recursive=True)]
    print(json.dumps([info["internal_states"][0]["npu"]["memory_allocated"], max(used)]))
    engine.shutdown()
"""


def test_untouched_pages_cost_nothing(tmp_path):
    """The whole HBM of machine n1, which may exceed this host's memory, is offered as pages."""
    program = tmp_path / "large.py"
    program.write_text(LARGE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    del environment["NPU_HBM_LIMIT"]
    run = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stderr[-4000:]
    allocated, used = json.loads(run.stdout.splitlines()[-1])
    print(f"{allocated / 2**30:.0f} GiB on the device, {used / 2**20:.0f} MiB of host memory")
    assert allocated > 32 << 30
    assert used < 3 << 29  # half of it for the engine's code


def test_a_request_beyond_the_cache_is_refused():
    with running(max_total_tokens=128, disable_radix_cache=True) as engine:
        with pytest.raises(ValueError, match="KV cache|maximum|token"):
            greedy(engine, ["x = 1\n" * 60], 4)
        assert greedy(engine, ["import os"], 4)

"""Wall times and tokens of one generation, repeated, as a line of JSON: on the npu or the CPU.

A program of its own, because a process of vLLM has one platform: timed_engine.py npu|cpu REPEATS
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["VLLM_LOGGING_LEVEL"] = "WARNING"
os.environ["NPU_HBM_LIMIT"] = "1G"


def main(platform: str, repeats: int) -> None:
    if platform == "cpu":
        os.environ["NPU_DISABLE"] = "1"
        import cpu_platform

        cpu_platform.use()
    from families import DEMO, PROMPTS
    from vllm import LLM, SamplingParams

    llm = LLM(model=DEMO, dtype="float32", max_model_len=512, enable_prefix_caching=False)
    params = SamplingParams(temperature=0, max_tokens=64, ignore_eos=True)
    seconds, outputs = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        outputs = llm.generate(PROMPTS * 2, params, use_tqdm=False)
        seconds.append(time.perf_counter() - start)
    tokens = [list(o.outputs[0].token_ids) for o in outputs]
    print(json.dumps({"seconds": seconds[1:], "tokens": tokens}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

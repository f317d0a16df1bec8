"""The demo: unmodified transformers code completes four prompts on the simulated NPU.

What is reported of the device (time, what bounds it, utilisation, kernels) is simulated; wall time
is this host's and named so.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from npu_torch.demo.evaluate import MODEL_DIR

PROMPTS = (
    "def is_prime(n):\n    if n < 2:\n        return False\n    for i in range(2, n):",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):",
    "    def __eq__(self, other):\n        if not isinstance(other,",
    "import os\nimport sys\n\ndef read(path):\n    with open(path) as f:\n        for line in",
)
NEW_TOKENS = 64


@dataclass
class Generation:
    """What one device generated, and when (wall clock)."""

    tokens: torch.Tensor  # [prompts, NEW_TOKENS], on the CPU
    wall_s: float


@dataclass
class Phase:
    """Prefill or decode: where the simulated time went."""

    host_ns: float = 0.0  # what launching cost the host
    device_ns: float = 0.0
    macs: int = 0
    hbm_bytes: int = 0
    bound_ns: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def bound_by(self) -> str:
        """The host where launching takes longer than what is launched, else the commonest bound."""
        if self.host_ns > self.device_ns or not self.bound_ns:
            return "host (launch cost)"
        return max(self.bound_ns, key=lambda name: self.bound_ns[name])


class Clock:
    """A streamer: transformers calls put() with the prompt, then with each step's tokens."""

    def __init__(self, on_token: Callable[[], None], now: Callable[[], float]) -> None:
        self._on_token = on_token
        self._now = now
        self._seen_prompt = False
        self.first_token: float | None = None

    def put(self, value: torch.Tensor) -> None:
        """Note the time of the first new token."""
        if not self._seen_prompt:
            self._seen_prompt = True
            return
        if self.first_token is None:
            self.first_token = self._now()
        self._on_token()

    def end(self) -> None:
        """Nothing is buffered."""


def load(device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """The shipped model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=dtype)
    return model.to(device).eval(), tokenizer


def encode(tokenizer: Any, prompts: Sequence[str], device: str) -> Any:
    """The prompts as one left-padded batch."""
    return tokenizer(list(prompts), return_tensors="pt", padding=True).to(device)


def generate(
    model: Any, batch: Any, streamer: Any = None, new_tokens: int = NEW_TOKENS
) -> Generation:
    """Greedy completion; every prompt gets exactly `new_tokens` tokens."""
    start = time.perf_counter()
    with torch.inference_mode():
        output = model.generate(
            **batch,
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            streamer=streamer,
        )
    tokens = output[:, batch["input_ids"].shape[1] :].cpu()
    return Generation(tokens, time.perf_counter() - start)


def _phase(records: Iterable[Any], launch_ns: float) -> Phase:
    phase = Phase()
    for record in records:
        phase.host_ns += launch_ns * record.counters["launches"]
        phase.device_ns += record.duration_ns
        phase.bound_ns[record.bound_by] += record.duration_ns
        phase.macs += record.counters["macs"]
        phase.hbm_bytes += record.counters["dma_read_bytes"] + record.counters["dma_write_bytes"]
    return phase


def _costliest(records: Iterable[Any], count: int = 10) -> list[dict[str, Any]]:
    by_name: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        by_name[record.name].append(record)
    total = sum(record.duration_ns for group in by_name.values() for record in group) or 1.0
    rows = []
    for name, group in by_name.items():
        spent = sum(record.duration_ns for record in group)
        bounds: dict[str, float] = defaultdict(float)
        for record in group:
            bounds[record.bound_by] += record.duration_ns
        rows.append(
            {
                "kernel": name,
                "launches": len(group),
                "device_ns": spent,
                "share": spent / total,
                "bound_by": max(bounds, key=lambda bound: bounds[bound]),
            }
        )
    return sorted(rows, key=lambda row: -row["device_ns"])[:count]


def run_demo(on_token: Callable[[str], None] = lambda device: None) -> dict[str, Any]:
    """Generate on the CPU and on the NPU, in float32, and report both.

    `on_token(device)` is called after every step of either.
    """
    from npu_torch import _C

    cpu_model, tokenizer = load("cpu", torch.float32)
    cpu_clock = Clock(lambda: on_token("cpu"), time.perf_counter)
    cpu = generate(cpu_model, encode(tokenizer, PROMPTS, "cpu"), cpu_clock)

    model, _ = load("npu", torch.float32)
    batch = encode(tokenizer, PROMPTS, "npu")
    torch.npu.reset_fallback_stats()
    torch.npu.reset_counters()
    start_ns = torch.npu.simulated_time_ns()
    clock = Clock(lambda: on_token("npu"), torch.npu.simulated_time_ns)
    with torch.npu.record_activity() as records:
        npu = generate(model, batch, clock)
        end_ns = torch.npu.simulated_time_ns()

    first_ns = clock.first_token if clock.first_token is not None else end_ns
    ttft_ns = first_ns - start_ns
    decode_ns = end_ns - first_ns
    properties = _C.device_properties(torch.npu.current_device())
    launch_ns = properties["launch_ns"]
    prefill = _phase((r for r in records if r.start_ns < first_ns), launch_ns)
    decode = _phase((r for r in records if r.start_ns >= first_ns), launch_ns)
    device_s = (prefill.device_ns + decode.device_ns) * 1e-9
    macs = prefill.macs + decode.macs
    hbm_bytes = prefill.hbm_bytes + decode.hbm_bytes
    texts = tokenizer.batch_decode(npu.tokens, skip_special_tokens=True)
    return {
        "arch": os.environ.get("NPU_ARCH", "n1"),
        "dtype": "float32",
        "prompts": list(PROMPTS),
        "completions": texts,
        "new_tokens": NEW_TOKENS,
        "tokens_equal_cpu": bool(torch.equal(cpu.tokens, npu.tokens)),
        "fallbacks": torch.npu.fallback_stats(),
        "ttft_ns": ttft_ns,
        "tokens_per_s": len(PROMPTS) * (NEW_TOKENS - 1) / (decode_ns * 1e-9),
        "simulated_ns": end_ns - start_ns,
        "prefill_bound_by": prefill.bound_by(),
        "decode_bound_by": decode.bound_by(),
        "device_busy": (prefill.device_ns + decode.device_ns) / (end_ns - start_ns),
        "matrix_utilization": macs / (device_s * properties["peak_macs_per_second"]),
        "hbm_utilization": hbm_bytes / (device_s * properties["hbm_bandwidth_gbps"] * 1e9),
        "launches": len(records),
        "counters": torch.npu.counters(),
        "kernels": _costliest(records),
        "wall_s": npu.wall_s,
        "cpu_wall_s": cpu.wall_s,
    }

"""Kernels other than products, and layers of models."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from npu_torch import _C
from npu_torch.estimate import kernels

N1 = "--arch n1"
ATTENTION = "--heads 8 --kv-heads 2 --head-dim 64"


@pytest.mark.parametrize(
    ("question", "kernel", "elements"),
    [
        # `elements`: bytes that have to be moved
        ("rms_norm 128x1024", "rms_norm", 2 * (2 * 128 * 1024 + 1024)),
        ("softmax 128x1024", "softmax", 2 * 2 * 128 * 1024),
        ("silu_and_mul 128x1024", "silu_and_mul", 2 * 3 * 128 * 1024),
        ("cast 1Mi", "copy", (2 + 4) << 20),
        ("cast 1Mi --dtype f16", "copy", (2 + 4) << 20),
        ("copy 1Mi", "copy", (2 + 2) << 20),
        ("copy 1048576 --dtype f32", "copy", (4 + 4) << 20),
    ],
)
def test_bytes(timed, question, kernel, elements):
    result = timed(question, N1)
    assert result["kernel"] == question.split()[0]
    assert result["kernels"][0]["kernel"] == kernel
    assert elements <= result["hbm_bytes"] <= 1.1 * elements
    assert result["macs"] == 0 and result["device_ns"] > 450
    assert result["ns"] == pytest.approx(2000 + result["device_ns"])


# Where tiles or splits are chosen by the machine's bandwidth. docs/timing.md says what may remain.
@pytest.mark.parametrize(
    "question",
    [
        "rms_norm 476x926",
        "softmax 1364x482",
        "softmax 5350x104",
        "silu_and_mul 512x1024",
        "copy 1565053",
        "gemm 2051x288x5312",
        "paged_attention --batch 1 --context 2048 --heads 32 --kv-heads 8 --head-dim 128",
        "paged_attention --batch 11 --context 3708 --heads 32 --kv-heads 8 --head-dim 128",
    ],
)
def test_a_faster_memory_takes_no_longer(timed, question):
    times = [
        timed(question, N1, f"--repeat 0 --set hbm.bandwidth_gbps=x{factor}")["device_ns"]
        for factor in (1, 1.25, 1.5, 2, 4, 8, 32)
    ]
    for slower, faster in pairwise(times):
        assert faster <= 1.005 * slower, times


def draw_attention(random):
    heads = random.choice([8, 16, 32])
    more = [1, heads, 8, random.choice([64, 128]), random.randint(64, 2500), random.random() < 0.6]
    return kernels.attention, more, [*more[:4], random.randint(32, more[4]), more[5]]


# Columns are whole bursts: a row that is not touches one more. Smaller launches take little but the
# latency of the memory, and some tens of cycles more or less.
def draw_rows(kernel):
    def draw(random):
        rows, bursts = random.randint(200, 8000), random.randint(8, 128)
        fewer = random.randint(rows // 3, rows)
        if random.random() < 0.5:
            return kernel, [rows, 32 * bursts], [fewer, 32 * bursts]
        return kernel, [rows, 32 * bursts], [rows, 32 * random.randint(4, bursts)]

    return draw


def draw_copy(random):
    bursts = random.randint(1000, 1 << 20)
    return kernels.copy, [32 * bursts], [32 * random.randint(bursts // 3, bursts)]


@pytest.mark.parametrize(
    "draw",
    [
        draw_attention,
        draw_rows(kernels.rms_norm),
        draw_rows(kernels.softmax),
        draw_rows(kernels.silu_and_mul),
        draw_copy,
    ],
    ids=["attention", "rms_norm", "softmax", "silu_and_mul", "copy"],
)
def test_less_work_takes_no_longer(draw):
    def cycles(kernel, sizes):
        estimator = _C.Estimator("n1", [])
        kernel(estimator, *sizes, "bf16")()
        return estimator.total()["cycles"]

    random = Random(1)
    for _ in range(60):
        kernel, more, less = draw(random)
        assert cycles(kernel, less) <= 1.02 * cycles(kernel, more), (more, less)


def test_attention(timed):
    full = timed("attention", ATTENTION, "--tokens 2048", N1)
    causal = timed("attention", ATTENTION, "--tokens 2048 --causal", N1)
    # Queries times keys, and probabilities times values.
    assert full["macs"] == 2 * 8 * 2048 * 2048 * 64
    assert causal["macs"] == 2 * 8 * 64 * 2048 * 2049 // 2
    assert causal["device_ns"] < full["device_ns"]
    two = timed("attention", ATTENTION, "--tokens 2048 --batch 2", N1)
    assert two["macs"] == 2 * full["macs"]


def test_paged_attention(timed):
    result = timed("paged_attention --batch 16 --context 1000 --block 16", ATTENTION, N1)
    assert result["macs"] == 16 * 2 * 8 * 1000 * 64
    assert result["hbm_bytes"] >= 16 * 2 * 2 * 1000 * 2 * 64
    half = timed("paged_attention --batch 16 --context 500 --block 16", ATTENTION, N1)
    assert half["device_ns"] < result["device_ns"]


def test_ragged_contexts(timed, tmp_path):
    lines = tmp_path / "lengths.txt"
    lines.write_text("700\n\n300\n2000\n")
    listed = tmp_path / "lengths.json"
    listed.write_text("[700, 300, 2000]")
    by_line = timed("paged_attention --contexts", str(lines), ATTENTION, N1)
    assert by_line["macs"] == 2 * 8 * 64 * 3000
    by_list = timed("paged_attention --batch 3 --contexts", str(listed), ATTENTION, N1)
    assert by_list["device_ns"] == by_line["device_ns"]
    even = timed("paged_attention --batch 3 --context 1000", ATTENTION, N1)
    assert even["macs"] == by_line["macs"] and even["device_ns"] < by_line["device_ns"]


STEPS = ["input_norm", "qkv_proj", "rotary", "kv_cache", "attention", "o_proj", "post_norm"]
STEPS += ["gate_up_proj", "activation", "down_proj"]
WEIGHTS = 4096 * (4096 + 2 * 1024) + 4096 * 4096 + 3 * 4096 * 14336


def test_prefill(timed):
    result = timed("layer --model llama-3-8b --tokens 256", N1)
    steps = result["kernels"]
    assert list(dict.fromkeys(step["step"] for step in steps)) == STEPS
    attention = 2 * 32 * 128 * 256 * 257 // 2
    assert result["macs"] == 256 * WEIGHTS + attention
    for key in ("ns", "device_ns", "cycles", "hbm_bytes", "macs", "launches"):
        assert result[key] == pytest.approx(sum(step[key] for step in steps))
    assert result["ns"] == pytest.approx(2000 * result["launches"] + result["device_ns"])
    weighted = sum(step["matrix_utilization"] * step["device_ns"] for step in steps)
    assert result["matrix_utilization"] == pytest.approx(weighted / result["device_ns"], rel=1e-4)


def test_decode(timed, tmp_path):
    result = timed("layer --model llama-3-8b --batch 8 --context 512", N1)
    assert result["macs"] == 8 * WEIGHTS + 8 * 2 * 32 * 128 * 512
    cache = 8 * 512 * 2 * 8 * 128
    assert 2 * (WEIGHTS + cache) < result["hbm_bytes"] < 1.1 * 2 * (WEIGHTS + cache)
    contexts = tmp_path / "contexts"
    contexts.write_text("\n".join(["512"] * 8))
    listed = timed("layer --model llama-3-8b --contexts", str(contexts), N1)
    assert listed["device_ns"] == result["device_ns"]


def test_rotation_of_a_decode_step(timed):
    """It takes a few ways to the memory (450 ns each), not one for every head."""
    result = timed("layer --model llama-3-8b --batch 64 --context 16", N1)
    (rotary,) = [step for step in result["kernels"] if step["step"] == "rotary"]
    assert rotary["device_ns"] < 7 * 450


def test_whole_step(timed):
    one = timed("layer --model llama-3.2-1b --batch 4 --context 100", N1)
    four = timed("layer --model llama-3.2-1b --batch 4 --context 100 --layers 4", N1)
    step = timed("layer --model llama-3.2-1b --batch 4 --context 100 --layers all", N1)
    assert four["macs"] == 4 * one["macs"] and four["launches"] == 4 * one["launches"]
    steps = [kernel["step"] for kernel in step["kernels"]]
    assert steps[0] == "embedding" and steps[-3:] == ["final_norm", "last_tokens", "lm_head"]
    assert step["macs"] == 16 * one["macs"] + 4 * 2048 * 128256
    (down,) = [kernel for kernel in step["kernels"] if kernel["step"] == "down_proj"]
    assert down["launches"] == 16


def test_normalised_queries(timed):
    result = timed("layer --model qwen3-8b --tokens 64", N1)
    assert "qk_norm" in [kernel["step"] for kernel in result["kernels"]]


def test_experts(timed):
    """Each token computes with two of eight experts, and 16 tokens need all of them."""
    projections = 4096 * (4096 + 2 * 1024) + 4096 * 4096 + 4096 * 8
    expert = 3 * 4096 * 14336
    for options, tokens, attention in (
        ("--batch 8 --context 512", 8, 8 * 2 * 32 * 128 * 512),
        ("--tokens 256", 256, 2 * 32 * 128 * 256 * 257 // 2),
    ):
        result = timed(f"layer --model mixtral-8x7b {options}", N1)
        steps = list(dict.fromkeys(step["step"] for step in result["kernels"]))
        assert steps == [*STEPS[:7], "router", "tokens_by_expert", *STEPS[7:], "sum"]
        assert result["macs"] == tokens * (projections + 2 * expert) + attention
    read = 2 * (projections + 8 * expert)
    decode = timed("layer --model mixtral-8x7b --batch 8 --context 16", N1)
    assert read < decode["hbm_bytes"] < 1.02 * read
    one = timed("layer --model mixtral-8x7b --batch 1 --context 16", N1)
    assert one["hbm_bytes"] < 1.02 * 2 * (projections + 2 * expert)
    qwen = timed("layer --model qwen3-30b-a3b --batch 64 --context 16", N1)
    (up,) = [step for step in qwen["kernels"] if step["step"] == "gate_up_proj"]
    assert up["macs"] == 64 * 8 * 2048 * 2 * 768
    assert up["hbm_utilization"] > 0.85 * qwen["hbm_stream_efficiency"]


def test_other_machines(timed):
    for question in ("layer --model llama-3.2-1b --tokens 32", "softmax 64x512", "copy 1Mi"):
        edge = timed(question, "--arch n1-edge --set hbm.capacity_gib=16")
        assert edge["device_ns"] > timed(question, N1)["device_ns"]


def test_models_that_do_not_fit(refused):
    question = "layer --model llama-3-70b --batch 1 --context 64 --layers all --arch n1"
    line = refused("time", *question.split(" "))
    assert "out of memory" in line and "requested" in line


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        ("rms_norm", ["''", "RxC"]),
        ("rms_norm 64", ["'64'", "RxC", "16384x4096"]),
        ("copy 1x2", ["'1x2'", "N"]),
        ("copy 1Ti", ["'1Ti'", "N"]),
        ("copy 0", ["'0'", "from 1 to"]),
        ("softmax 4x0", ["'4x0'", "from 1 to 1,048,576"]),
        ("attention 3x4", ["attention", "'3x4'"]),
        ("attention --heads 4 --head-dim 64", ["attention", "--tokens"]),
        ("attention --heads 4 --head-dim 64 --tokens 0", ["--tokens 0", "from 1 to"]),
        ("attention --heads 4 --kv-heads 3 --head-dim 64 --tokens 8", ["heads", "4", "3"]),
        ("gemm 1x2x3 --causal", ["gemm", "--causal"]),
        ("gemm 1x2x3 --model x", ["gemm", "--model"]),
        ("paged_attention --heads 4 --head-dim 64", ["--context"]),
        ("paged_attention --heads 4 --head-dim 64 --contexts none", ["none", "No such file"]),
        ("paged_attention --heads 4 --head-dim 64 --context 5 --contexts x", ["--contexts"]),
        ("layer --tokens 5", ["--model"]),
        ("layer --model gpt-9 --tokens 5", ["'gpt-9'", "llama-3-8b"]),
        ("layer --model llama-3-8b", ["--tokens", "--context"]),
        ("layer --model llama-3-8b --tokens 5 --batch 3", ["--tokens", "--batch"]),
        ("layer --model llama-3-8b --batch 3", ["--context"]),
        ("layer --model llama-3-8b --tokens 5 --layers 99", ["--layers 99", "1 to 32"]),
        ("layer --model llama-3-8b --tokens 5 --layers some", ["--layers some", "1 to 32"]),
        ("layer --model llama-3-8b --tokens 5 --dtype i8", ["i8"]),
    ],
)
def test_errors(refused, question, texts):
    line = refused("time", *question.split(" "))
    for text in texts:
        assert text in line


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("", ["no lengths"]),
        ("5\nmany\n", ["entry 2", "'many'"]),
        ("5\n0\n", ["entry 2 is 0"]),
        ("[5, 1.5]", ["entry 2", "1.5"]),
        ("[5, true]", ["entry 2", "True"]),
        ("[5,", ["Expecting value"]),
        ("5\n6\n", ["--batch 3", "2 lengths"]),
    ],
)
def test_wrong_contexts(refused, tmp_path, text, texts):
    path = tmp_path / "contexts"
    path.write_text(text)
    question = f"layer --model llama-3-8b --batch 3 --contexts {path}"
    line = refused("time", *question.split(" "))
    for expected in [str(path), *texts]:
        assert expected in line


def test_samples_of_the_documentation(command):
    page = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    samples = [line.split()[1:] for line in page.splitlines() if line.startswith("npu-torch time ")]
    assert len(samples) >= 7
    for sample in samples:
        assert command(*sample).status == 0, sample


def test_table(command):
    question = "layer --model llama-3.2-1b --tokens 8 --arch n1"
    finished = command("time", *question.split(" "))
    assert finished.status == 0 and "gate_up_proj" in finished.out


def test_equal_in_every_process_and_order(timed):
    question = "layer --model llama-3.2-1b --batch 3 --context 77"
    first = timed(question, N1)
    timed("copy 1Mi", N1)
    again = timed(question, N1)
    for result in (first, again):
        del result["wall_ms"], result["remembered_us"]
    assert json.dumps(first) == json.dumps(again)

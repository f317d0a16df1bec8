"""The shipped model: its size, its format, and that its reported measures are reproduced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

from npu_torch.demo import evaluate
from npu_torch.demo.corpus import Corpus, SourceFile, is_held_out, load_corpus

SAMPLE_BYTES = 60_000
COMPLETIONS = 24


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    # The matrices are small, and threads that wait for each other on a busy machine cost more.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return evaluate.load_model()


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    text = (evaluate.MODEL_DIR / "training.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def small_sample(files: tuple[SourceFile, ...]) -> list[SourceFile]:
    chosen: list[SourceFile] = []
    total = 0
    for source in sorted(files, key=lambda item: item.sha256):
        if total < SAMPLE_BYTES and source.num_bytes <= 20_000:
            chosen.append(source)
            total += source.num_bytes
    return chosen


def test_checkpoint_is_small_and_bf16() -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(evaluate.MODEL_DIR)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert sum(p.numel() for p in model.parameters()) <= 4_000_000
    assert (evaluate.MODEL_DIR / "model.safetensors").stat().st_size <= 8_000_000


def test_tokenizer_round_trips_and_pads_left(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    text = 'def f(x):\n\treturn f"{x!r} äß 漢字 🐍"\r\n'
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert len(tokenizer) == 4096
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3
    batch = tokenizer(["x", "import os\n"], padding=True, return_tensors="pt")
    assert batch["attention_mask"][0, 0] == 0
    assert batch["input_ids"][0, 0] == tokenizer.pad_token_id
    assert bool((batch["attention_mask"][:, -1] == 1).all())


def test_split_keeps_held_out_texts_out_of_training(corpus: Corpus) -> None:
    assert not {f.sha256 for f in corpus.train} & {f.sha256 for f in corpus.held_out}
    assert all(is_held_out(f.path) for f in corpus.held_out)
    assert not any(is_held_out(f.path) for f in corpus.train)


def test_record_is_whole_and_meets_the_bound(record: dict[str, Any]) -> None:
    scores = record["held_out_files"]
    bits = sum(score["bits"] for score in scores)
    size = sum(score["num_bytes"] for score in scores)
    assert record["held_out"]["bits_per_byte"] == pytest.approx(bits / size)
    assert record["held_out"]["bits_per_byte"] <= 1.7
    assert record["held_out"]["tokenize"]["completions"] == 100
    assert record["held_out"]["tokenize"]["strict_pass"] >= 50
    assert isinstance(record["hyperparameters"]["seed"], int)
    losses = [point["train_loss"] for point in record["training"]["loss_curve"]]
    assert len(losses) > 20
    assert losses[-1] < losses[0]


def test_bits_per_byte_are_reproduced(
    corpus: Corpus, loaded: tuple[Any, Any], record: dict[str, Any]
) -> None:
    reported = {score["sha256"]: score for score in record["held_out_files"]}
    known = tuple(f for f in corpus.held_out if f.sha256 in reported)
    sample = small_sample(known or corpus.held_out)
    scores = evaluate.score_files(*loaded, sample)
    assert evaluate.bits_per_byte(scores) <= 1.7
    for score in scores:
        if score.sha256 in reported:
            assert score.num_bytes == reported[score.sha256]["num_bytes"]
            assert score.bits == pytest.approx(reported[score.sha256]["bits"], rel=2e-3)


def test_windows_score_each_token_once(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    files = [SourceFile("a.py", "import os\nimport sys\n" * 12), SourceFile("b.py", "x = 1\n")]
    whole = evaluate.score_files(model, tokenizer, files, window=256)
    cut = evaluate.score_files(model, tokenizer, files, window=32)
    assert [s.num_tokens for s in whole] == [s.num_tokens for s in cut]
    ids = tokenizer(files[0].text)["input_ids"]
    ids = torch.tensor([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]])
    assert whole[0].num_tokens == ids.shape[1] - 1
    with torch.no_grad():
        nats = model(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1)
    assert whole[0].bits == pytest.approx(float(nats) / 0.6931471805599453, rel=1e-4)
    assert cut[1].bits == pytest.approx(whole[1].bits, rel=1e-4)


def test_completions_tokenize(corpus: Corpus, loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    prompts = evaluate.make_prompts(tokenizer, corpus.held_out, COMPLETIONS)
    texts = evaluate.sample_completions(model, tokenizer, prompts)
    assert all(text.startswith(prompt) for text, prompt in zip(texts, prompts, strict=True))
    report = evaluate.tokenize_report(texts)
    assert report.total == COMPLETIONS
    assert report.strict_rate >= 0.5


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("x = [1,\n     2]\n", "pass"),
        ("x = [1,\n", "open"),
        ('def f():\n    """Return\n', "open"),
        ("if x:\n        y\n    z\n", "fail"),
        ("x = 'a\n", "fail"),
    ],
)
def test_verdicts(text: str, verdict: str) -> None:
    assert evaluate.tokenize_verdict(text) == verdict


def test_last_line_is_dropped() -> None:
    assert evaluate.drop_last_line("a\nb\nc = (") == "a\nb\n"
    assert evaluate.drop_last_line("a\nb\n") == "a\nb\n"

"""Train the demo's model: a small byte-level-BPE Llama, on the Python standard library's source.

Writes a directory that ``AutoModelForCausalLM.from_pretrained`` and
``AutoTokenizer.from_pretrained`` load, and ``training.json`` beside the weights: seed, data,
hyper-parameters, loss curve and the measures of the final bf16 weights on held-out files.

    python -m npu_torch.demo.train --output build/model

With the defaults this is the run behind the shipped checkpoint: 8.2 million tokens, not quite one
pass over the training files, about 45 minutes on one core.

Training runs on the CPU under bf16 autocast. Matrices inside the layers are trained with Muon, the
embedding and the norms with AdamW; both follow one schedule, a linear warm-up and a cosine decay to
zero. Most steps use short windows; the last ones use longer windows of the same number of tokens,
so that the positions a longer prompt reaches are trained too.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from npu_torch.demo.corpus import HELD_OUT_MODULUS, Corpus, SourceFile, load_corpus
from npu_torch.demo.evaluate import (
    bits_per_byte,
    evaluate,
    load_model,
    score_files,
    summary,
)

PAD, BOS, EOS = "<pad>", "<s>", "</s>"


@dataclass(frozen=True)
class Hyperparameters:
    """Everything that decides the outcome of a run, apart from the corpus."""

    seed: int = 20240229
    vocab_size: int = 4096
    hidden_size: int = 256
    intermediate_size: int = 672
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 64
    max_positions: int = 1024
    steps: int = 2000
    tokens_per_step: int = 4096
    short_window: int = 256
    long_window: int = 512
    long_fraction: float = 0.12
    warmup_steps: int = 80
    muon_lr: float = 0.02
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.1
    adam_lr: float = 4e-3
    adam_betas: tuple[float, float] = (0.9, 0.95)
    adam_weight_decay: float = 0.0
    grad_clip: float = 1.0


def train_tokenizer(files: Sequence[SourceFile], vocab_size: int) -> Any:
    """Train a byte-level BPE tokenizer and wrap it for transformers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((source.text for source in files), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def build_model(hp: Hyperparameters, tokenizer: Any) -> Any:
    """Build an untrained ``LlamaForCausalLM``."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=hp.vocab_size,
        hidden_size=hp.hidden_size,
        intermediate_size=hp.intermediate_size,
        num_hidden_layers=hp.num_layers,
        num_attention_heads=hp.num_heads,
        num_key_value_heads=hp.num_kv_heads,
        head_dim=hp.head_dim,
        max_position_embeddings=hp.max_positions,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def encode_files(tokenizer: Any, files: Sequence[SourceFile]) -> list[torch.Tensor]:
    """Encode each file as ``<s> text </s>``."""
    encoded = tokenizer([source.text for source in files], add_special_tokens=False)["input_ids"]
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    return [torch.tensor([bos, *ids, eos], dtype=torch.int32) for ids in encoded]


class Batches:
    """Endless batches of windows over the files, which are reshuffled in every epoch."""

    def __init__(self, documents: Sequence[torch.Tensor], seed: int) -> None:
        """Keep the documents; ``seed`` fixes every order that follows."""
        self.documents = documents
        self.random = random.Random(seed)

    def iterate(self, window: int, rows: int) -> Iterator[torch.Tensor]:
        """Yield batches of shape (rows, window + 1): the last token of a row is only a target."""
        while True:
            order = list(range(len(self.documents)))
            self.random.shuffle(order)
            stream = torch.cat([self.documents[index] for index in order])
            starts = list(range(self.random.randrange(window), len(stream) - window - 1, window))
            self.random.shuffle(starts)
            for first in range(0, len(starts) - rows + 1, rows):
                chosen = starts[first : first + rows]
                yield torch.stack([stream[at : at + window + 1] for at in chosen]).long()


def learning_rate_scale(step: int, hp: Hyperparameters) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < hp.warmup_steps:
        return (step + 1) / hp.warmup_steps
    progress = (step - hp.warmup_steps) / max(1, hp.steps - hp.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def build_optimizers(model: Any, hp: Hyperparameters) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the rest."""
    matrices: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and "embed_tokens" not in name
        (matrices if inner else others).append(parameter)
    return [
        torch.optim.Muon(
            matrices,
            lr=hp.muon_lr,
            momentum=hp.muon_momentum,
            weight_decay=hp.muon_weight_decay,
        ),
        torch.optim.AdamW(
            others,
            lr=hp.adam_lr,
            betas=hp.adam_betas,
            weight_decay=hp.adam_weight_decay,
            fused=True,
        ),
    ]


def make_loss(model: Any, compiled: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the next-token loss of a batch as a function, compiled if asked."""

    def loss(batch: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), batch[:, 1:].flatten()
        )

    if not compiled:
        return loss
    function: Callable[[torch.Tensor], torch.Tensor] = torch.compile(loss, dynamic=False)
    return function


def save(model: Any, tokenizer: Any, directory: Path) -> None:
    """Write the weights in bf16, the configuration and the tokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    narrow = type(model)(model.config)
    narrow.load_state_dict(model.state_dict())
    narrow.to(torch.bfloat16)
    narrow.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def probe_files(held_out: Sequence[SourceFile], limit: int = 150_000) -> list[SourceFile]:
    """Choose a few held-out files to follow during training."""
    chosen: list[SourceFile] = []
    total = 0
    for source in sorted(held_out, key=lambda item: item.sha256):
        if source.num_bytes <= 20_000 and total < limit:
            chosen.append(source)
            total += source.num_bytes
    return chosen


def train(
    hp: Hyperparameters, corpus: Corpus, tokenizer: Any, options: argparse.Namespace
) -> tuple[Any, dict[str, Any]]:
    """Run the training loop; return the model and a record of the run."""
    model = build_model(hp, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    documents = encode_files(tokenizer, corpus.train)
    train_tokens = sum(len(document) for document in documents)
    train_bytes = sum(source.num_bytes for source in corpus.train)
    print(
        f"{parameters} parameters; {len(documents)} files, {train_bytes} bytes,"
        f" {train_tokens} tokens, {train_bytes / train_tokens:.3f} bytes a token",
        flush=True,
    )
    optimizers = build_optimizers(model, hp)
    base_rates = [[group["lr"] for group in opt.param_groups] for opt in optimizers]
    loss_function = make_loss(model, compiled=not options.eager)
    batches = Batches(documents, hp.seed)
    probe = probe_files(corpus.held_out)
    curve: list[dict[str, float]] = []
    probes: list[dict[str, float]] = []
    long_from = hp.steps - round(hp.steps * hp.long_fraction)
    source = batches.iterate(hp.short_window, hp.tokens_per_step // hp.short_window)
    started = time.monotonic()
    running, counted = 0.0, 0
    for step in range(hp.steps):
        if step == long_from:
            source = batches.iterate(hp.long_window, hp.tokens_per_step // hp.long_window)
        scale = learning_rate_scale(step, hp)
        for optimizer, rates in zip(optimizers, base_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_function(next(source))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), hp.grad_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        running += float(loss.detach())
        counted += 1
        last = step + 1 == hp.steps
        if (step + 1) % options.log_every == 0 or last:
            elapsed = time.monotonic() - started
            curve.append({"step": step + 1, "train_loss": round(running / counted, 4)})
            print(
                f"step {step + 1}/{hp.steps} loss {running / counted:.4f}"
                f" lr x{scale:.3f} {elapsed:.0f} s"
                f" {(step + 1) * hp.tokens_per_step / elapsed:.0f} tokens/s",
                flush=True,
            )
            running, counted = 0.0, 0
        if (step + 1) % options.probe_every == 0 or last:
            bpb = bits_per_byte(score_files(model, tokenizer, probe))
            probes.append({"step": step + 1, "held_out_sample_bits_per_byte": round(bpb, 4)})
            print(f"step {step + 1} held-out sample {bpb:.4f} bits per byte", flush=True)
            if options.checkpoint is not None:
                save(model, tokenizer, options.checkpoint)
    record = {
        "parameters": parameters,
        "train_files": len(documents),
        "train_bytes": train_bytes,
        "train_tokens": train_tokens,
        "tokens_seen": hp.steps * hp.tokens_per_step,
        "seconds": round(time.monotonic() - started),
        "loss_curve": curve,
        "held_out_curve": probes,
    }
    return model, record


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save and measure from the command line."""
    defaults = Hyperparameters()
    parser = argparse.ArgumentParser(description="Train the demo's model.")
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    parser.add_argument("--checkpoint", type=Path, help="directory for weights during the run")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--muon-lr", type=float, default=defaults.muon_lr)
    parser.add_argument("--adam-lr", type=float, default=defaults.adam_lr)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--probe-every", type=int, default=200)
    parser.add_argument("--eager", action="store_true", help="do not compile the loss")
    options = parser.parse_args(arguments)
    hp = Hyperparameters(
        steps=options.steps,
        seed=options.seed,
        muon_lr=options.muon_lr,
        adam_lr=options.adam_lr,
    )
    torch.set_num_threads(options.threads)
    torch.manual_seed(hp.seed)
    corpus = load_corpus()
    tokenizer = train_tokenizer(corpus.train, hp.vocab_size)
    model, record = train(hp, corpus, tokenizer, options)
    save(model, tokenizer, options.output)
    shipped, shipped_tokenizer = load_model(options.output)
    scores, report = evaluate(shipped, shipped_tokenizer, corpus.held_out)
    document = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "split": f"held out: 1 file in {HELD_OUT_MODULUS}, by SHA-256 of its relative path",
        "hyperparameters": asdict(hp),
        "training": record,
        "held_out": summary(scores, report),
        "held_out_files": [asdict(score) for score in scores],
    }
    (options.output / "training.json").write_text(
        json.dumps(document, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(document["held_out"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

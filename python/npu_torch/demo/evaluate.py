"""Measure the demo's model: bits per byte on held-out files, and completions that tokenize.

Bits per byte
    Every held-out file is scored as ``<s> text </s>``: the model's total surprise, in bits, over
    all tokens of the text and the closing ``</s>``, divided by the length of the text in UTF-8.
    Files longer than the window are scored in windows of ``WINDOW`` tokens that overlap by half,
    each token once, in the first window that holds it. The weights are those of the shipped bf16
    checkpoint; the arithmetic is float32.

Tokenize rate
    Prompts are beginnings of held-out files and of held-out functions, each ending at a line end
    between two statements. Each is continued by exactly 64 sampled tokens. The last line, which
    the 64th token cuts at an arbitrary place, is dropped from prompt and completion, and the rest
    goes through ``tokenize.generate_tokens``.

    * *strict*: no exception, and no error token (versions before 3.12 report an unterminated
      one-line string or a stray character that way instead of raising). A docstring or bracket
      still open where the completion was cut counts as a failure here.
    * *open at the cut*: the only complaint is the end of the input inside a bracket or a
      triple-quoted string. This is what any correct program cut at that place would give, so it is
      reported beside the strict number, but the number held against the bound is the strict one.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import json
import math
import textwrap
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from npu_torch.demo.corpus import SourceFile, load_corpus

MODEL_DIR = Path(__file__).resolve().parent / "model"
"""Where the shipped checkpoint lies."""

WINDOW = 256
"""Tokens in one scoring window; half of it is context once a file is longer."""

COMPLETIONS = 100
NEW_TOKENS = 64
MAX_PROMPT_TOKENS = 160
TEMPERATURE = 0.7
TOP_P = 0.9
SAMPLE_SEED = 20240229


@dataclass(frozen=True)
class FileScore:
    """How well one file was predicted."""

    path: str
    sha256: str
    num_bytes: int
    num_tokens: int
    bits: float


@dataclass(frozen=True)
class TokenizeReport:
    """How many sampled completions pass ``tokenize``."""

    total: int
    strict: int
    open_at_cut: int

    @property
    def strict_rate(self) -> float:
        """Share of completions that pass with no complaint at all."""
        return self.strict / self.total

    @property
    def lenient_rate(self) -> float:
        """The same share, with those added whose only fault is to be cut inside a construct."""
        return (self.strict + self.open_at_cut) / self.total


def load_model(directory: Path = MODEL_DIR) -> tuple[Any, Any]:
    """Load checkpoint and tokenizer; the bf16 weights are widened to float32."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(directory)
    return model.eval(), tokenizer


def _windows(ids: Sequence[int], window: int) -> Iterable[tuple[Sequence[int], int]]:
    """Cut ids into (window, scored) pairs; the last ``scored`` positions are new in each."""
    stride = window // 2
    start, done = 0, 1  # the opening token is given, not predicted
    while True:
        end = min(start + window, len(ids))
        yield ids[start:end], end - done
        if end == len(ids):
            return
        done = end
        start += stride


@torch.no_grad()
def score_files(
    model: Any,
    tokenizer: Any,
    files: Iterable[SourceFile],
    window: int = WINDOW,
    batch_size: int = 16,
) -> list[FileScore]:
    """Score each file; see the module's description for what is counted."""
    sources = list(files)
    pieces: list[tuple[int, Sequence[int], int]] = []
    lengths: list[int] = []
    for index, source in enumerate(sources):
        text_ids = tokenizer(source.text, add_special_tokens=False)["input_ids"]
        ids = [tokenizer.bos_token_id, *text_ids, tokenizer.eos_token_id]
        lengths.append(len(ids) - 1)
        pieces.extend((index, piece, scored) for piece, scored in _windows(ids, window))
    pieces.sort(key=lambda item: len(item[1]))
    nats = [0.0] * len(sources)
    for first in range(0, len(pieces), batch_size):
        group = pieces[first : first + batch_size]
        width = max(len(piece) for _, piece, _ in group)
        # Right padding: under a causal mask it cannot reach the positions that are scored.
        batch = torch.full((len(group), width), tokenizer.pad_token_id, dtype=torch.long)
        for row, (_, piece, _) in enumerate(group):
            batch[row, : len(piece)] = torch.tensor(piece)
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="none"
        ).view(len(group), width - 1)
        for row, (index, piece, scored) in enumerate(group):
            last = len(piece) - 1
            nats[index] += float(losses[row, last - scored : last].double().sum())
    return [
        FileScore(source.path, source.sha256, source.num_bytes, length, total / math.log(2))
        for source, length, total in zip(sources, lengths, nats, strict=True)
    ]


def bits_per_byte(scores: Iterable[FileScore]) -> float:
    """Total bits over total bytes."""
    listed = list(scores)
    return sum(score.bits for score in listed) / sum(score.num_bytes for score in listed)


def bits_per_byte_by_area(scores: Iterable[FileScore]) -> dict[str, dict[str, float]]:
    """Split the result by the library's largest areas."""
    areas: dict[str, list[FileScore]] = {}
    for score in scores:
        top = score.path.split("/", 1)[0]
        areas.setdefault(top if top in {"test", "encodings"} else "library", []).append(score)
    return {
        area: {
            "files": len(listed),
            "bytes": sum(score.num_bytes for score in listed),
            "bits_per_byte": bits_per_byte(listed),
        }
        for area, listed in sorted(areas.items())
    }


def _order(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def _file_prompt(source: SourceFile, tree: ast.Module) -> str | None:
    """Return the file up to its third statement."""
    if len(tree.body) < 3:
        return None
    return "".join(source.text.splitlines(keepends=True)[: _first_line(tree.body[2]) - 1])


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _function_prompts(source: SourceFile, tree: ast.Module) -> Iterable[str]:
    """Yield each function up to its second statement, moved to the left margin."""
    lines = source.text.splitlines(keepends=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.body) > 1:
            stop = _first_line(node.body[1]) - 1
            yield textwrap.dedent("".join(lines[_first_line(node) - 1 : stop]))


def make_prompts(tokenizer: Any, held_out: Sequence[SourceFile], count: int) -> list[str]:
    """Choose prompts: half beginnings of files, half beginnings of functions, at most two a file.

    The choice follows a hash of the path. A candidate that does not itself pass ``tokenize``, or
    is longer than ``MAX_PROMPT_TOKENS``, is passed over.
    """
    from_files: list[str] = []
    from_functions: list[str] = []
    for source in sorted(held_out, key=lambda item: _order(item.path)):
        try:
            tree = ast.parse(source.text)
        except (SyntaxError, ValueError):
            continue
        opening = _file_prompt(source, tree)
        if opening is not None and _usable(tokenizer, opening):
            from_files.append(opening)
        usable = (p for p in _function_prompts(source, tree) if _usable(tokenizer, p))
        from_functions.extend([prompt for prompt, _ in zip(usable, range(2), strict=False)])
    half = min(len(from_files), count // 2)
    prompts = from_files[:half] + from_functions[: count - half]
    if len(prompts) < count:
        raise ValueError(f"only {len(prompts)} prompts in the held-out files, {count} wanted")
    return prompts


def _usable(tokenizer: Any, prompt: str) -> bool:
    if not prompt.endswith("\n") or tokenize_verdict(prompt) != "pass":
        return False
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return 0 < len(ids) <= MAX_PROMPT_TOKENS


def tokenize_verdict(text: str) -> str:
    """Return ``pass``, ``open`` (the input ends inside a construct) or ``fail``."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.ERRORTOKEN and token.string.strip():
                return "fail"
    except tokenize.TokenError as error:
        message = str(error.args[0])
        at_end = "EOF in multi-line" in message or "unterminated triple-quoted" in message
        return "open" if at_end else "fail"
    except (SyntaxError, ValueError):
        return "fail"
    return "pass"


def drop_last_line(text: str) -> str:
    """Return the text without its last line: what follows the last line end."""
    return text[: text.rfind("\n") + 1]


@torch.no_grad()
def sample_completions(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    seed: int = SAMPLE_SEED,
    batch_size: int = 25,
) -> list[str]:
    """Continue each prompt by 64 sampled tokens and return prompt and continuation together."""
    torch.manual_seed(seed)
    texts: list[str] = []
    for first in range(0, len(prompts), batch_size):
        batch = tokenizer(
            list(prompts[first : first + batch_size]),
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        )
        output = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            top_k=0,
            min_new_tokens=NEW_TOKENS,
            max_new_tokens=NEW_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
        )
        texts.extend(tokenizer.batch_decode(output, skip_special_tokens=True))
    return texts


def tokenize_report(texts: Iterable[str]) -> TokenizeReport:
    """Judge prompts with their completions, the last line of each aside."""
    verdicts = [tokenize_verdict(drop_last_line(text)) for text in texts]
    return TokenizeReport(len(verdicts), verdicts.count("pass"), verdicts.count("open"))


def evaluate(
    model: Any, tokenizer: Any, held_out: Sequence[SourceFile], completions: int = COMPLETIONS
) -> tuple[list[FileScore], TokenizeReport]:
    """Take both measures."""
    scores = score_files(model, tokenizer, held_out)
    prompts = make_prompts(tokenizer, held_out, completions)
    return scores, tokenize_report(sample_completions(model, tokenizer, prompts))


def summary(scores: Sequence[FileScore], report: TokenizeReport) -> dict[str, Any]:
    """Gather both measures in the form that ``training.json`` keeps."""
    return {
        "bits_per_byte": bits_per_byte(scores),
        "files": len(scores),
        "bytes": sum(score.num_bytes for score in scores),
        "tokens": sum(score.num_tokens for score in scores),
        "window": WINDOW,
        "by_area": bits_per_byte_by_area(scores),
        "tokenize": {
            "completions": report.total,
            "new_tokens": NEW_TOKENS,
            "temperature": TEMPERATURE,
            "top_p": TOP_P,
            "seed": SAMPLE_SEED,
            "strict_pass": report.strict,
            "open_at_cut": report.open_at_cut,
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate a checkpoint from the command line."""
    parser = argparse.ArgumentParser(description="Measure the demo's model on held-out files.")
    parser.add_argument("--model", type=Path, default=MODEL_DIR, help="directory to load")
    parser.add_argument("--max-files", type=int, help="score only this many held-out files")
    parser.add_argument("--show", type=int, default=0, help="print this many sampled completions")
    options = parser.parse_args(arguments)
    model, tokenizer = load_model(options.model)
    held_out = load_corpus().held_out
    chosen = sorted(held_out, key=lambda item: _order(item.path))[: options.max_files]
    scores = score_files(model, tokenizer, chosen)
    texts = sample_completions(model, tokenizer, make_prompts(tokenizer, held_out, COMPLETIONS))
    print(json.dumps(summary(scores, tokenize_report(texts)), indent=2))
    for text in texts[: options.show]:
        print("-" * 60)
        print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

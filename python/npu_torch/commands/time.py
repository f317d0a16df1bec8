"""`npu-torch time`: how long a library kernel or a model's layer takes, without tensor data."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npu_torch.commands._output import fail, print_columns, print_table
from npu_torch.estimate import kernels, layer
from npu_torch.estimate.models import MODELS
from npu_torch.estimate.tensors import Estimator

# Of one dimension: the multiply-accumulates of a cube still fit 64 bits.
MOST = 2**20
MOST_ELEMENTS = 2**40
EXAMPLES = {"MxKxN": "64x4096x14336", "RxC": "16384x4096", "N": "64Mi"}
SUFFIXES = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

Options = dict[str, Any]


@dataclass(frozen=True)
class Kernel:
    """What `npu-torch time` can be asked about."""

    sizes: str  # the form of the sizes, "" where options say it all
    summary: str
    # Options that count, with their defaults; None: has to be given.
    options: Mapping[str, Any]
    ask: Callable[[Estimator, list[int], dict[str, Any]], kernels.Ask]


Question = Callable[[Estimator, list[int], Options], kernels.Ask]


def _of_sizes(ask: Callable[..., kernels.Ask]) -> Question:
    """Kernels that take sizes and a dtype."""
    return lambda e, sizes, o: ask(e, *sizes, o["dtype"])


def _contexts(o: Options) -> list[int]:
    """Keys of each sequence, from --batch and --context or from --contexts."""
    if o["contexts"] is None:
        if o["context"] is None:
            raise ValueError("--context or --contexts is missing")
        return [o["context"]] * (o["batch"] or 1)
    if o["context"] is not None:
        raise ValueError("--context and --contexts exclude each other")
    contexts = _read_contexts(o["contexts"])
    if o["batch"] not in (None, len(contexts)):
        raise ValueError(f"--batch {o['batch']}, but '{o['contexts']}' has {len(contexts)} lengths")
    return contexts


def _read_contexts(path: str) -> list[int]:
    """Lengths from a file: a JSON list, or one to a line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--contexts '{path}': {error}") from None
    entries: list[Any]
    if text.lstrip().startswith("["):
        try:
            entries = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"--contexts '{path}': {error}") from None
    else:
        entries = [line.strip() for line in text.splitlines() if line.strip()]
    if not entries:
        raise ValueError(f"--contexts '{path}': no lengths")
    lengths = []
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, str) and re.fullmatch(r"\d+", entry):
            entry = int(entry)
        if type(entry) is not int or not 1 <= entry <= MOST:
            raise ValueError(
                f"--contexts '{path}': entry {number} is {entry!r}, wanted is a whole number from "
                f"1 to {MOST:,}"
            )
        lengths.append(entry)
    return lengths


def _attention(e: Estimator, _: list[int], o: Options) -> kernels.Ask:
    return kernels.attention(
        e,
        o["batch"],
        o["heads"],
        o["kv_heads"],
        o["head_dim"],
        o["tokens"],
        o["causal"],
        o["dtype"],
    )


def _paged_attention(e: Estimator, _: list[int], o: Options) -> kernels.Ask:
    return kernels.paged_attention(
        e, _contexts(o), o["heads"], o["kv_heads"], o["head_dim"], o["block"], o["dtype"]
    )


def _layer(e: Estimator, _: list[int], o: Options) -> kernels.Ask:
    if o["model"] not in MODELS:
        raise ValueError(f"model '{o['model']}'; known are {', '.join(MODELS)}")
    decodes = any(o[name] is not None for name in ("batch", "context", "contexts"))
    if decodes == (o["tokens"] is not None):
        raise ValueError(
            "layer: either --tokens (prefill), or --batch and --context, or --contexts (decode)"
        )
    kv_lens = _contexts(o) if decodes else [o["tokens"]]
    query_lens = [1] * len(kv_lens) if decodes else kv_lens
    model = MODELS[o["model"]]
    count = None if o["layers"] == "all" else _number("--layers", o["layers"], model.layers)
    return layer.layers(e, model, query_lens, kv_lens, o["block"], o["dtype"], count)


HEADS = {"heads": None, "kv_heads": ..., "head_dim": None}
SEQUENCES = {"batch": ..., "context": ..., "contexts": ..., "block": 16}
TYPED = {"dtype": "bf16"}
KERNELS = {
    "gemm": Kernel("MxKxN", "[M, K] @ [K, N]", TYPED, _of_sizes(kernels.gemm)),
    "attention": Kernel(
        "",
        "dense attention among --tokens",
        {**HEADS, "batch": 1, "tokens": None, "causal": False, **TYPED},
        _attention,
    ),
    "paged_attention": Kernel(
        "",
        "a decode step's attention to a paged KV cache",
        {**HEADS, **SEQUENCES, **TYPED},
        _paged_attention,
    ),
    "rms_norm": Kernel("RxC", "RMSNorm of R rows", TYPED, _of_sizes(kernels.rms_norm)),
    "softmax": Kernel("RxC", "softmax of R rows", TYPED, _of_sizes(kernels.softmax)),
    "silu_and_mul": Kernel(
        "RxC",
        "silu(x[:, :C]) * x[:, C:] of x [R, 2 C]: C is the result's width",
        TYPED,
        _of_sizes(kernels.silu_and_mul),
    ),
    "cast": Kernel("N", "N elements to f32", TYPED, _of_sizes(kernels.cast)),
    "copy": Kernel("N", "N elements to elsewhere", TYPED, _of_sizes(kernels.copy)),
    "layer": Kernel(
        "",
        "a decoder layer's launches: prefill of --tokens, or a decode step of --batch sequences",
        {"model": None, "tokens": ..., **SEQUENCES, "layers": "1", **TYPED},
        _layer,
    ),
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's options."""
    width = max(len(name) for name in KERNELS)
    parser = subparsers.add_parser(
        "time",
        help="simulated time of one kernel at a given shape, without touching tensor data",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The kernels:\n"
        + "\n".join(f"  {name:{width}} {k.sizes:6} {k.summary}" for name, k in KERNELS.items())
        + "\n\nns is device_ns and what the launches cost the host.",
    )
    parser.add_argument("kernel", choices=KERNELS, help="what to time")
    parser.add_argument(
        "sizes", nargs="?", help="such as 4096x4096x4096; a suffix Ki, Mi or Gi multiplies"
    )
    parser.add_argument("--dtype", help="f64, f32, f16, bf16, i64, i32, i16, i8 (default: bf16)")
    parser.add_argument("--heads", type=int, help="query heads")
    parser.add_argument("--kv-heads", type=int, help="key and value heads (default: --heads)")
    parser.add_argument("--head-dim", type=int, help="elements of a head")
    parser.add_argument("--tokens", type=int, help="tokens of the (one) sequence")
    parser.add_argument("--causal", action="store_true", default=None, help="causal mask")
    parser.add_argument("--batch", type=int, help="sequences")
    parser.add_argument("--context", type=int, help="keys of each sequence, the new one's included")
    parser.add_argument(
        "--contexts", metavar="FILE", help="keys of each sequence: a JSON list, or one to a line"
    )
    parser.add_argument("--block", type=int, help="slots of a block of the KV cache (default: 16)")
    parser.add_argument("--model", help=", ".join(MODELS))
    parser.add_argument(
        "--layers", help="number of layers (default: 1), or `all`: a step with embedding and logits"
    )
    parser.add_argument(
        "--arch",
        default=os.environ.get("NPU_ARCH", "n1"),
        help="machine: preset or path of a file (default: NPU_ARCH, else n1)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the machine file: hbm.bandwidth_gbps=1200, or =x0.5 for a factor",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=20,
        metavar="N",
        help="ask N times more, to see what a remembered answer takes (default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


OPTIONS = (
    "dtype",
    "heads",
    "kv_heads",
    "head_dim",
    "tokens",
    "causal",
    "batch",
    "context",
    "contexts",
    "block",
    "model",
    "layers",
)


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _number(what: str, text: str, most: int) -> int:
    if not re.fullmatch(r"\d+", text) or not 1 <= int(text) <= most:
        raise ValueError(f"{what} {text}: wanted is a whole number from 1 to {most:,}")
    return int(text)


def _sizes(name: str, text: str | None) -> list[int]:
    """The sizes of the kernel's form."""
    form = KERNELS[name].sizes
    if not form:
        if text is not None:
            raise ValueError(f"{name} takes options, no sizes: '{text}'")
        return []
    parts = [re.fullmatch(r"(\d+)(|Ki|Mi|Gi)", part) for part in (text or "").split("x")]
    if len(parts) != len(form.split("x")) or not all(parts):
        raise ValueError(f"sizes '{text or ''}': expected {form}, such as {EXAMPLES[form]}")
    sizes = [int(part[1]) * SUFFIXES[part[2]] for part in parts if part]
    most = MOST if len(sizes) > 1 else MOST_ELEMENTS
    if not all(1 <= size <= most for size in sizes):
        raise ValueError(f"sizes '{text}': each must be from 1 to {most:,}")
    return sizes


def _options(name: str, args: argparse.Namespace) -> Options:
    """The kernel's options, checked, and None for those left out."""
    known = KERNELS[name].options
    options: Options = {}
    for option in OPTIONS:
        given = getattr(args, option)
        if option not in known:
            if given is not None:
                raise ValueError(f"{name} has no option {_flag(option)}")
            continue
        if given is None and known[option] is None:
            raise ValueError(f"{name}: {_flag(option)} is missing")
        if isinstance(given, int) and not isinstance(given, bool) and not 1 <= given <= MOST:
            raise ValueError(f"{_flag(option)} {given}: must be from 1 to {MOST:,}")
        options[option] = given if given is not None else known[option]
        if options[option] is ...:
            options[option] = None
    if "kv_heads" in options and options["kv_heads"] is None:
        options["kv_heads"] = options["heads"]
    return options


def estimate(args: argparse.Namespace) -> dict[str, Any]:
    """The answer, with what asking took."""
    sizes, options = _sizes(args.kernel, args.sizes), _options(args.kernel, args)
    if args.repeat < 0:
        raise ValueError(f"--repeat {args.repeat}: must not be negative")
    from npu_torch import _C

    if options["dtype"] not in _C.data_types():
        raise ValueError(f"dtype '{options['dtype']}'; allowed are {', '.join(_C.data_types())}")
    start = time.perf_counter()
    estimator = _C.Estimator(args.arch, args.set)
    ask = KERNELS[args.kernel].ask(estimator, sizes, options)
    ask()
    total = estimator.total()
    wall_ms = (time.perf_counter() - start) * 1e3
    parts = estimator.kernels()
    again = []
    for _ in range(args.repeat):
        start = time.perf_counter()
        estimator.forget()
        ask()
        estimator.total()
        again.append((time.perf_counter() - start) * 1e6)
    question = {"kernel": args.kernel, "sizes": args.sizes, **options, "arch": args.arch}
    return {
        **{name: value for name, value in question.items() if value is not None},
        **total,
        "wall_ms": wall_ms,
        "remembered_us": statistics.median(again) if again else None,
        "kernels": parts,
    }


def run(args: argparse.Namespace) -> int:
    """Time the kernel and print what the timer says."""
    try:
        result = estimate(args)
    except (ValueError, RuntimeError) as error:
        return fail("time", error)
    if args.json:
        json.dump(result, sys.stdout)
        print()
        return 0
    parts = result.pop("kernels")
    what = [args.kernel, args.sizes, result.get("dtype"), "on", args.arch]
    print_table(" ".join(part for part in what if part), result)
    if len(parts) > 1:
        columns = ["step", "kernel", "launches", "device_ns", "bound_by"]
        print_columns("Kernels", columns, [[part[c] for c in columns] for part in parts])
    return 0

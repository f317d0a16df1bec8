"""Which engine runs which family with which features: the table of docs/serving.md.

Run as a program, it writes the table from the last test runs, whose results conftest.py keeps.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path

from families import FAMILIES

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "serving.md"
RESULTS = HERE.parents[1] / "build" / "serving"
ENGINES = {"vllm": "vLLM", "sglang": "SGLang"}
BEGIN, END = "<!-- begin: the table of tests/serving/feature_table.py -->\n", "<!-- end -->\n"

# A feature, and the tests that show it. Names ending in * stand for all that begin so.
FEATURES = {
    "greedy tokens equal the CPU's, ragged batches": (
        "test_family*",
        "test_greedy_equals_transformers*",
        "test_ragged_lengths",
    ),
    "chunked prefill": ("test_family*", "test_chunked_prefill"),
    "prefix caching, hits counted": (
        "test_*prefix_caching",
        "test_*radix_cache",
    ),
    "pages of several sizes": (
        "test_page_sizes*",
        "test_*pages_of*",
        "test_block_sizes*",
        "test_preemption",
    ),
    "preemption": ("test_preemption", "test_retraction*"),
    "asynchronous scheduling off": ("test_preemption", "test_without_*_scheduling"),
    "n-gram speculation": ("test_speculation*",),
    "bfloat16": ("test_bfloat16",),
    "at most 20 launches a layer": ("test_launches_of_a_layer",),
    "temperature, top-k, top-p, min-p": ("test_processed_logits",),
    "penalties": ("test_penalties",),
    "seeds": ("test_seeds",),
    "token frequencies": ("test_frequencies",),
    "logprobs of tokens and prompts": (
        "test_logits_and_prompt_logprobs",
        "test_logprobs_of_tokens_and_prompts",
    ),
    "stop strings": ("test_stop_strings",),
    "structured output: JSON schema, regex, choice": ("test_structured_output",),
    "embeddings": ("test_embeddings",),
    "streaming": ("test_streaming", "test_the_demos_text", "test_concurrent_streams"),
    "chat": ("test_streamed_chat",),
    "32 clients for a minute": ("test_32_clients_for_a_minute",),
    "metrics": ("test_metrics",),
}

Test = tuple[str, str]  # name and family; the shipped model's has none


def tests_of(engine: str) -> set[Test]:
    """The tests in an engine's folder, read without importing them."""
    tests: set[Test] = set()
    for file in sorted((HERE / engine).glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                tests |= {(node.name, family) for family in _families(node)}
    return tests


def _families(node: ast.FunctionDef) -> Iterable[str]:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(args=[ast.Constant("family"), ast.Name("FAMILIES")]):
                return list(FAMILIES)
            case ast.Call(args=[ast.Constant("family"), values]):
                return list(ast.literal_eval(values))
    return [""]


def shown(tests: Iterable[Test]) -> dict[str, set[str]]:
    """The families with which the tests show each feature."""
    tests = list(tests)
    return {
        feature: {family for test, family in tests if any(map(_is(test), names))}
        for feature, names in FEATURES.items()
    }


def _is(test: str):
    return lambda name: re.fullmatch(name.replace("*", ".*"), test) is not None


def _cell(families: set[str]) -> str:
    named = [family for family in FAMILIES if family in families]
    words = ["all families"] if len(named) == len(FAMILIES) else named
    return ", ".join((["shipped model"] if "" in families else []) + words) or "-"


def table(tests: dict[str, Iterable[Test]]) -> str:
    """The table for the engines' tests."""
    columns = [shown(tests[engine]) for engine in ENGINES]
    lines = ["| feature | " + " | ".join(ENGINES.values()) + " |"]
    lines.append("|---|" + "---|" * len(ENGINES))
    for feature in FEATURES:
        cells = [_cell(column[feature]) for column in columns]
        lines.append("| " + " | ".join([feature, *cells]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table."""
    tests = {}
    for engine in ENGINES:
        rows = json.loads((RESULTS / f"{engine}.json").read_text())
        tests[engine] = {(test, family) for test, family in rows}
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + table(tests) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()

"""What README and docs promise holds: links lead somewhere, samples run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    for link in links:
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`((?:csrc|sim|python|tests|docs|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_the_first_program_runs(run_python: Callable[..., object]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    # A smaller product says the same in less time.
    result = run_python(sample.replace("4096, 4096", "512, 512"))
    first, second = result.stdout.splitlines()  # type: ignore[attr-defined]
    assert first.endswith("simulated ms")
    assert second == f"{512**3} {{}}"

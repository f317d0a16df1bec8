"""The tuning cache: what it keeps, and that no number depends on it (docs/tuning.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def cycles(cache: Path | str) -> tuple[int, str]:
    """Cycles of a product in a process of its own, and what it said on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "npu_torch_cli", "time", "gemm", "300x500x700", "--json"],
        env=os.environ | {"NPU_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)["cycles"], done.stderr


def test_times_are_the_same_with_any_cache(tmp_path: Path) -> None:
    searched, said = cycles("")
    assert said == ""
    folder = tmp_path / "not" / "yet"
    assert cycles(folder) == (searched, "")
    (file,) = folder.iterdir()
    text = file.read_text()
    assert text.count("\n") == 1
    assert cycles(folder) == (searched, "")
    assert file.read_text() == text, "a known problem was searched for again"

    file.write_text(text.replace(" = ", " = 1", 1))
    damaged, said = cycles(folder)
    assert damaged == searched
    assert said.count("damaged lines are ignored") == 1
    assert str(file) in said

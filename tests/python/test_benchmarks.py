"""`make bench` sees what misses its bound and what has become worse."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in (BENCHMARKS, BENCHMARKS / "calibrate"):
        monkeypatch.syspath_prepend(str(folder))


def test_bounds_and_references() -> None:
    from figures import Figure

    cost = Figure("t", "cost", 1.1, 1.2, "x", at_least=False, slack=1.05)
    assert cost.holds() and cost.key == "t: cost"
    assert not cost.has_regressed(None)
    assert not cost.has_regressed(1.05) and cost.has_regressed(1.04)
    assert not Figure("t", "cost", 1.3, 1.2, "x", at_least=False, slack=1.05).holds()

    share = Figure("t", "share", 0.91, 0.9, "x", at_least=True, slack=1.01)
    assert share.holds() and not share.has_regressed(0.91)
    assert not share.has_regressed(0.915) and share.has_regressed(0.93)
    assert not Figure("t", "share", 0.89, 0.9, "x", at_least=True, slack=1.01).holds()


@pytest.mark.parametrize(
    ("ratio", "reference", "status", "text"),
    [
        (0.97, 0.97, 0, "0.970 >= 0.950"),
        (0.97, None, 0, "0.970 >= 0.950"),
        (0.94, 0.94, 1, "misses its bound"),
        (0.96, 0.99, 1, "was 0.990"),
    ],
)
def test_exit_status(
    ratio: float,
    reference: float | None,
    status: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import run
    from figures import Figure

    def figures(only: str) -> Iterator[Figure]:
        yield Figure("topic", "name", ratio, 0.95, "of something", at_least=True, slack=1.01)

    monkeypatch.setenv("NPU_HOST_THREADS", "1")
    monkeypatch.setattr(run, "TOPICS", [figures])
    monkeypatch.setattr(run, "REFERENCE", tmp_path / "reference.json")
    if reference is not None:
        run.REFERENCE.write_text(json.dumps({"topic: name": reference}))
    monkeypatch.setattr(sys, "argv", ["run.py", "--threads", "1", "--out", str(tmp_path / "out")])
    assert run.main() == status
    assert text in capsys.readouterr().out
    (result,) = json.loads((tmp_path / "out" / "results.json").read_text())["figures"]
    assert result["ratio"] == ratio and result["holds"] == (ratio >= 0.95)

    monkeypatch.setattr(sys, "argv", [*sys.argv, "--update"])
    run.main()
    assert json.loads(run.REFERENCE.read_text()) == {"topic: name": ratio}


def test_simulated_figures_and_their_plot(tmp_path: Path) -> None:
    import roofline_plot
    import rooflines

    figures = list(rooflines.figures("copy")) + list(rooflines.figures("gemm 64x"))
    assert [f.name for f in figures] == ["copy 64Mi", "gemm 64x4096x14336"]
    assert all(f.holds() for f in figures)
    roofline_plot.write(figures, tmp_path / "plot.svg")
    assert "gemm 64x4096x14336" in (tmp_path / "plot.svg").read_text()


def test_references_are_of_promised_figures() -> None:
    """Every committed reference belongs to a figure; those of simulated ones keep their promise."""
    import rooflines

    reference = json.loads((BENCHMARKS / "reference.json").read_text())
    for name, _, least, _ in rooflines.KERNELS:
        assert reference[f"{rooflines.TOPIC}: {name}"] >= least

"""Notes which tests have passed, for the table of docs/serving.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "build" / "serving"


class Results:
    """Of each test and family, whether it has passed in the last run that had it."""

    def __init__(self, engine: str) -> None:
        self.path = RESULTS / f"{engine}.json"
        self.passed: dict[tuple[str, str], bool] = {}

    def add(self, item, passed: bool) -> None:
        key = (item.originalname, item.callspec.params.get("family", "") if _has(item) else "")
        self.passed[key] = self.passed.get(key, True) and passed

    def write(self) -> None:
        old = json.loads(self.path.read_text()) if self.path.exists() else []
        rows = {(test, family) for test, family in old if (test, family) not in self.passed}
        rows |= {key for key, passed in self.passed.items() if passed}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(sorted(rows)))


def _has(item) -> bool:
    return hasattr(item, "callspec")


RUNS: dict[str, Results] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" or not report.passed:
        engine = item.path.parent.name
        RUNS.setdefault(engine, Results(engine)).add(item, report.passed)
    return report


def pytest_sessionfinish():
    for results in RUNS.values():
        results.write()

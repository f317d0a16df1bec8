"""The table of docs/serving.md lists the tests that there are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))

import feature_table as features


@pytest.mark.parametrize("engine", features.ENGINES)
def test_every_feature_has_a_test_or_says_that_it_has_none(engine):
    tests = features.tests_of(engine)
    assert len(tests) > 20
    for feature, names in features.FEATURES.items():
        known = {name for name, _ in features.tests_of("vllm") | features.tests_of("sglang")}
        for name in names:
            assert any(features._is(test)(name) for test in known), (feature, name)


def test_the_committed_table_is_that_of_the_tests():
    tests = {engine: features.tests_of(engine) for engine in features.ENGINES}
    assert features.BEGIN + features.table(tests) + features.END in features.PAGE.read_text()

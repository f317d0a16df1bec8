"""Commands run in this process; what they print is captured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import npu_torch_cli

PRESETS = Path(__file__).parents[3] / "sim" / "presets"


class Finished(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """command("time", "gemm", ...): exit status, standard output, standard error."""

    def run(*arguments: str) -> Finished:
        try:
            status = npu_torch_cli.main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return Finished(status, *capsys.readouterr())

    return run


@pytest.fixture
def timed(command: Command) -> Callable[..., dict[str, Any]]:
    """timed("gemm 64x64x64 --arch n1", ...): the JSON object of `npu-torch time`."""

    def run(*words: str) -> dict[str, Any]:
        arguments = [argument for word in words for argument in word.split(" ")]
        finished = command("time", *arguments, "--json")
        assert finished.status == 0, finished.err
        assert finished.err == "" and finished.out.count("\n") == 1
        result: dict[str, Any] = json.loads(finished.out)
        return result

    return run


@pytest.fixture
def machine_file(tmp_path: Path) -> Callable[..., str]:
    """machine_file((old, new), ...): a copy of n1 with text replaced; returns its path."""

    def copy(*changes: tuple[str, str]) -> str:
        text = (PRESETS / "n1.toml").read_text()
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "machine.toml"
        path.write_text(text)
        return str(path)

    return copy


@pytest.fixture
def refused(command: Command) -> Callable[..., str]:
    """refused("time", ...): the one line of an error, with exit status 2 and no output."""

    def run(*arguments: str) -> str:
        finished = command(*arguments)
        assert finished.status == 2 and finished.out == ""
        (line,) = finished.err.splitlines()
        assert line.startswith(f"npu-torch {arguments[0]}: ")
        return line

    return run

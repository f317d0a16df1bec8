"""A machine file of one's own through NPU_ARCH: it takes effect, or says what is wrong with it."""

from pathlib import Path

import pytest

N1 = Path(__file__).parents[3] / "sim" / "presets" / "n1.toml"

CODE = """
    import torch
    try:
        print(torch.ones(2, device="npu").tolist(), torch.npu.get_device_name())
    except RuntimeError as error:
        print("error:", str(error).splitlines()[0])
    """


@pytest.fixture
def run_with(run_python, tmp_path):
    """run_with(text): what the code prints on that machine, and the file's path."""

    def run(text):
        path = tmp_path / "chip.toml"
        path.write_text(text)
        result = run_python(CODE, NPU_ARCH=str(path))
        assert result.returncode == 0, result.stderr
        return result.stdout.strip(), str(path)

    return run


def test_a_file_is_the_machine(run_with):
    text = N1.read_text().replace('name = "n1"', 'name = "mine"')
    assert run_with(text)[0] == "[1.0, 1.0] mine"


@pytest.mark.parametrize(
    ("old", "new", "texts"),
    [
        ("rows = 128", "rows = 0", ["matrix.rows", "0", "1"]),
        ("latency_ns = 450\n", "", ["hbm.latency_ns"]),
        ("[vector]", "[vector", ["line"]),
    ],
)
def test_errors_name_file_key_and_range(run_with, old, new, texts):
    text = N1.read_text()
    assert text.count(old) == 1
    message, path = run_with(text.replace(old, new))
    assert message.startswith("error:") and path in message
    for part in texts:
        assert part in message, message


def test_a_file_that_does_not_exist(run_python):
    result = run_python(CODE, NPU_ARCH="/no/such/chip.toml")
    assert result.stdout.startswith("error:") and "/no/such/chip.toml" in result.stdout

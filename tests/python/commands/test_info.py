import json

import torch


def test_json(command, monkeypatch):
    monkeypatch.setenv("NPU_EXAMPLE", "7")
    finished = command("info", "--json")
    assert finished.status == 0 and finished.err == ""
    info = json.loads(finished.out)
    assert info["torch"] == torch.__version__ and info["devices"] == torch.npu.device_count()
    assert (info["name"], info["core_count"], info["matrix_rows"]) == ("n1", 16, 128)
    assert info["total_memory"] == 64 * 2**30 and info["NPU_EXAMPLE"] == "7"
    # 16 cores of 128 x 128 at 1.4 GHz: 734 TFLOP/s
    assert abs(info["peak_macs_per_second"] * 2 / 734e12 - 1) < 0.01


def test_table(command):
    finished = command("info")
    assert finished.status == 0 and "core_count" in finished.out


def test_a_wrong_environment(run_python):
    code = "import npu_torch_cli, sys; sys.exit(npu_torch_cli.main(['info']))"
    result = run_python(code, NPU_ARCH="n9")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "'n9'" in result.stderr
    assert "n1-edge" in result.stderr

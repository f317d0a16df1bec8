import json

import torch


def test_lists_names_and_summaries(command):
    finished = command("disasm")
    assert finished.status == 0 and finished.err == ""
    names = [line.split()[0] for line in finished.out.splitlines()]
    assert names == sorted(names)
    assert {"gemm", "softmax", "add", "flash_attention", "rms_norm"} <= set(names)
    listed = json.loads(command("disasm", "--json").out)
    assert list(listed) == names and all(listed.values())


def test_prints_a_program(command):
    finished = command("disasm", "gemm", "--arch", "n1")
    assert finished.status == 0 and finished.err == ""
    assert ".kernel" in finished.out and "m.mm" in finished.out
    as_json = json.loads(command("disasm", "gemm", "--arch", "n1", "--json").out)
    assert (as_json["kernel"], as_json["arch"]) == ("gemm", "n1")
    assert as_json["text"] == finished.out


def test_machines_differ(command, monkeypatch):
    n1, edge = (command("disasm", "gemm", "--arch", arch).out for arch in ("n1", "n1-edge"))
    assert n1 != edge
    monkeypatch.setenv("NPU_ARCH", "n1-edge")
    assert command("disasm", "gemm").out == edge


def test_printed_text_runs(command):
    """What is printed is a program that torch.npu.launch takes."""
    text = command("disasm", "silu_and_mul", "--arch", "n1").out
    try:
        torch.npu.launch(text, 1, [])
    except RuntimeError as error:
        assert "silu_and_mul" in str(error)  # it assembles; its arguments are missing
    else:
        raise AssertionError("launched without arguments")


def test_names_of_activity_records_are_listed(command):
    x = torch.randn(64, 64).npu()
    with torch.npu.record_activity() as records:
        torch.softmax(x, 1)
        x @ x
        x + x
        x.sum()
        torch.ops.npu.silu_and_mul(x)
        torch.ops.npu.rms_norm(x, None, 1e-5)
    torch.npu.synchronize()
    listed = json.loads(command("disasm", "--json").out)
    assert {record.name for record in records} <= set(listed)


def test_errors(refused):
    assert "'no_such_kernel'" in refused("disasm", "no_such_kernel")
    line = refused("disasm", "gemm", "--arch", "n7")
    assert "'n7'" in line and "n1-edge" in line

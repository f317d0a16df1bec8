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
    x, index = torch.randn(64, 64).npu(), torch.randint(0, 64, (64,)).npu()
    with torch.npu.record_activity() as records:
        torch.log_softmax(x, 1), torch.nn.functional.layer_norm(x, [64])
        x @ x, x + x, x.sum(), x.argmin(1), x.cumsum(1), x.triu()
        x.sort(1), x.topk(3), torch.randn(9, device="npu"), torch.arange(9, device="npu")
        x[index], x.gather(1, index[:, None]), x.scatter(1, index[:, None], 0.0)
        x.index_add(0, index, x)
        torch.ops.npu.gelu_and_mul(x, "tanh"), torch.ops.npu.rms_norm(x, None, 1e-5)
    torch.npu.synchronize()
    listed = json.loads(command("disasm", "--json").out)
    names = {record.name for record in records}
    assert len(names) > 12 and names - {"copy_bytes", "fill_bytes"} <= set(listed)


def test_errors(refused):
    assert "'no_such_kernel'" in refused("disasm", "no_such_kernel")
    line = refused("disasm", "gemm", "--arch", "n7")
    assert "'n7'" in line and "n1-edge" in line

import pytest
import torch

ADD = """
; y = a + s * b over n contiguous f32, 1024 a program
.kernel axpy
.arg y ptr
.arg a ptr
.arg b ptr
.arg n i64
.arg s f64
.tile ta f32 1024
.tile tb f32 1024
s.mul r0, %pid, 1024
s.sub r1, n, r0
s.min r1, r1, 1024
d.load ta, a[r0], (1 | r1):(1 | 1)
d.load tb, b[r0], (1 | r1):(1 | 1)
v.mul tb, tb, s
v.add ta, ta, tb
d.store y[r0], ta, (1 | r1):(1 | 1)
exit
"""

OUT_OF_BOUNDS = """
.kernel reads_too_far
.arg a ptr
.tile t f32 65536
d.load t, a[0], (1 | 65536):(1 | 1)
exit
"""


def test_launch_runs_a_program():
    n = 5000
    a, b = torch.arange(n, dtype=torch.float32), torch.ones(n)
    y = torch.empty(n, device="npu")
    torch.npu.synchronize()
    torch.npu.reset_counters()
    torch.npu.launch(ADD, 5, [y, a.npu(), b.npu(), n, 2.0])
    assert y.cpu().equal(a + 2)
    counters = torch.npu.counters(0)
    assert counters["launches"] == 1
    assert (counters["dma_read_bytes"], counters["dma_write_bytes"]) == (2 * 4 * n, 4 * n)
    assert counters["vector_instructions"] == 10 and counters["matrix_instructions"] == 0
    assert torch.npu.counters(1)["launches"] == 0


def test_launch_on_another_device_and_stream():
    y, a, b = (torch.ones(10, device="npu:1") for _ in range(3))
    with torch.npu.stream(torch.npu.Stream("npu:1")):
        torch.npu.launch(ADD, 1, [y, a, b, 10, 1.0], device="npu:1")
    torch.npu.synchronize("npu:1")
    assert y.cpu().tolist() == [2.0] * 10


def test_wrong_launches():
    y = torch.ones(10, device="npu")
    with pytest.raises(ValueError, match="line 3"):
        torch.npu.launch(".kernel k\nexit\nnonsense r0\n", 1, [])
    with pytest.raises(ValueError, match=".kernel"):
        torch.npu.launch("exit", 1, [])
    with pytest.raises(RuntimeError, match="5"):
        torch.npu.launch(ADD, 1, [y])
    with pytest.raises(RuntimeError, match="axpy"):
        torch.npu.launch(ADD, 1, [y, y, y, y, 1.0])
    with pytest.raises(RuntimeError, match="cpu"):
        torch.npu.launch(ADD, 1, [y, y, y.cpu(), 10, 1.0])
    with pytest.raises(RuntimeError, match="npu:1"):
        torch.npu.launch(ADD, 1, [y, y, y.to("npu:1"), 10, 1.0])
    with pytest.raises(TypeError):
        torch.npu.launch(ADD, 1, [y, y, y, "10", 1.0])
    with pytest.raises(RuntimeError, match="other"):
        torch.npu.launch(ADD, 1, [y, y, y, 10, 1.0], kernel="other")
    torch.npu.synchronize()


def test_sticky_error_until_reset(run_python):
    result = run_python(
        f"""
        import torch
        other = torch.ones(2, device="npu:1")
        x = torch.ones(10, device="npu")
        torch.npu.launch({OUT_OF_BOUNDS!r}, 1, [x])
        calls = [torch.npu.synchronize, torch.npu.current_device, torch.npu.mem_get_info,
                 torch.npu.memory_allocated, torch.npu.counters, torch.npu.current_stream,
                 torch.npu.simulated_time_ns, x.cpu, lambda: x.fill_(1)]
        for call in calls:
            try:
                call()
            except RuntimeError as error:
                assert "reads_too_far" in str(error) and "d.load" in str(error), error
                assert isinstance(error, torch.AcceleratorError)
            else:
                raise AssertionError(call)
        assert other.cpu().tolist() == [1, 1]
        torch.npu.reset_device()
        y = torch.ones(3, device="npu")
        assert y.cpu().tolist() == [1, 1, 1] and torch.npu.current_device() == 0
        """
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("engine", "kernel", "use"),
    [
        ("vector", "axpy", f"torch.npu.launch({ADD!r}, 1, [y, y, y, 10, 1.0])"),
        ("dma", "axpy", f"torch.npu.launch({ADD!r}, 1, [y, y, y, 10, 1.0])"),
        ("matrix", "gemm", "torch.mm(y.view(2, 5), y.view(5, 2))"),
    ],
)
def test_disabled_engine_names_engine_and_kernel(run_python, engine, kernel, use):
    result = run_python(
        f"""
        import torch
        y = torch.empty(10, device="npu")
        try:
            {use}
            torch.npu.synchronize()
        except RuntimeError as error:
            print(error)
        torch.npu.reset_device()
        print("alive", torch.arange(3).to("npu").cpu().tolist())
        """,
        NPU_DISABLE=engine,
    )
    message, alive = result.stdout.rstrip().rsplit("\n", 1)
    assert engine in message and kernel in message, result.stdout + result.stderr
    assert alive == "alive [0, 1, 2]"


def test_wrong_engine_to_disable(run_python):
    code = "import torch; torch.ones(2, device='npu')"
    result = run_python(code, NPU_DISABLE="tensor")
    assert result.returncode != 0
    for text in ("NPU_DISABLE", "tensor", "matrix", "vector", "dma"):
        assert text in result.stderr


def test_simulated_time_is_deterministic(run_python):
    code = f"""
        import torch
        a = torch.arange(100000, dtype=torch.float32).npu()
        y = torch.empty_like(a)
        for _ in range(10):
            torch.npu.launch({ADD!r}, 98, [y, a, a, 100000, 2.0])
        y.cpu()
        print(torch.npu.simulated_time_ns())
        """
    times = {run_python(code, NPU_HOST_THREADS=threads).stdout for threads in ("1", "2", "2")}
    assert len(times) == 1 and float(times.pop()) > 10 * 2000


def test_simulated_time_counts_launches():
    y = torch.ones(10, device="npu")
    before = torch.npu.simulated_time_ns()
    torch.npu.launch(ADD, 1, [y, y, y, 10, 1.0])
    after = torch.npu.simulated_time_ns("npu:0")
    assert after - before > torch.npu.get_device_properties().launch_ns


def test_activity_records():
    y = torch.ones(2000, device="npu")
    with torch.npu.record_activity() as records:
        torch.npu.launch(ADD, 2, [y, y, y, 2000, 1.0])
        y.cpu()
    launch, copy = records
    assert (launch.name, launch.grid, launch.device, launch.stream) == ("axpy", 2, 0, 0)
    assert launch.counters["dma_read_bytes"] == 16000 and launch.duration_ns > 0
    assert 0 < launch.hbm_utilization <= 1 and launch.matrix_utilization == 0
    assert launch.bound_by
    assert copy.start_ns >= launch.start_ns + launch.duration_ns - 1e-3  # of rounding
    assert copy.sequence > launch.sequence
    torch.npu.launch(ADD, 1, [y, y, y, 10, 1.0])
    torch.npu.synchronize()
    assert len(records) == 2


def test_one_recording_at_a_time():
    with torch.npu.record_activity():
        second = torch.npu.record_activity()
        with pytest.raises(RuntimeError, match="under way"):
            second.__enter__()
    with torch.npu.record_activity() as records:
        pass
    assert records == []

import pytest
import torch

# An operator that will hardly get a kernel of its own.
OP = "aten::special_airy_ai.out"


def run():
    return torch.special.airy_ai(torch.ones(4).npu())


@pytest.fixture(autouse=True)
def reset():
    torch.npu.reset_fallback_stats()


def test_counts_by_name():
    x = run()
    run()
    assert x.device.type == "npu"
    assert x.cpu().allclose(torch.special.airy_ai(torch.ones(4)))
    assert torch.npu.fallback_stats() == {OP: 2}
    torch.npu.reset_fallback_stats()
    assert torch.npu.fallback_stats() == {}


def test_transfers_go_over_the_host_link():
    x = torch.ones(1000).npu()
    torch.npu.synchronize()
    torch.npu.reset_counters()
    before = torch.npu.simulated_time_ns()
    torch.special.airy_ai(x)
    counters = torch.npu.counters()
    assert counters["device_to_host_bytes"] >= 4000 <= counters["host_to_device_bytes"]
    assert torch.npu.simulated_time_ns() > before + 2000  # two latencies of the link


def test_in_place_out_and_views():
    x = torch.tensor([[3.0, 1.0], [2.0, 4.0]], device="npu")
    view = x.t()[:, :1]
    torch.special.airy_ai(torch.zeros(2, 1).npu(), out=view)
    expected = torch.special.airy_ai(torch.zeros(())).item()
    assert view.stride() == (1, 2)
    assert x.cpu().allclose(torch.tensor([[expected, expected], [2.0, 4.0]]))


def test_result_of_a_cpu_scalar_and_a_tensor_is_on_the_device():
    x = torch.ones(3, device="npu")
    y = torch.special.zeta(torch.tensor(2.0), x + 1)
    assert y.device == x.device


def test_device_of_the_result():
    assert torch.special.airy_ai(torch.ones(2, device="npu:1")).device.index == 1


def test_generators_of_the_device_serve_the_cpu():
    def draw(seed):
        generator = torch.Generator("npu").manual_seed(seed)
        x = torch.full((30,), 5.0, device="npu")
        return torch.poisson(x, generator=generator).tolist()

    assert draw(1) == draw(1) != draw(2)


def test_warns_once_by_default(run_python):
    code = """
        import torch
        x = torch.ones(4).npu()
        torch.special.airy_ai(x), torch.special.airy_ai(x)
        print(torch.npu.fallback_stats()["aten::special_airy_ai.out"])
        """
    result = run_python(code, NPU_FALLBACK="warn")
    assert result.stdout == "2\n"
    assert result.stderr.count(OP) == 1 and "NPU_FALLBACK" in result.stderr
    result = run_python(code, NPU_FALLBACK="silent")
    assert (result.stdout, result.stderr) == ("2\n", "")


def test_error_mode_names_operator_and_remedy(run_python):
    result = run_python(
        """
        import torch
        x = torch.ones(4).npu()
        try:
            torch.special.airy_ai(x)
        except NotImplementedError as error:
            print(error)
        print(torch.npu.fallback_stats(), x.cpu().tolist())
        """,
        NPU_FALLBACK="error",
    )
    assert result.returncode == 0, result.stderr
    message, rest = result.stdout.split("\n", 1)
    assert OP in message and "NPU_FALLBACK=warn" in message
    assert rest == "{} [1.0, 1.0, 1.0, 1.0]\n"


@pytest.mark.parametrize("transposed", [False, True])
def test_convolution(transposed):
    torch.manual_seed(0)
    make = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    cpu = make(4, 6, 3, padding=1, groups=2)
    npu = make(4, 6, 3, padding=1, groups=2).npu()
    npu.load_state_dict(cpu.state_dict())
    x = torch.randn(2, 4, 8, 8)
    torch.npu.reset_fallback_stats()
    y = npu(x.npu())
    assert y.cpu().allclose(cpu(x))
    assert torch.npu.fallback_stats() == {"aten::convolution_overrideable": 1}
    y.square().mean().backward()
    cpu(x).square().mean().backward()
    for mine, reference in zip(npu.parameters(), cpu.parameters(), strict=True):
        assert mine.grad.cpu().allclose(reference.grad, atol=1e-6)
    assert torch.npu.fallback_stats()["aten::convolution_backward_overrideable"] == 1


def test_tensors_of_other_devices_are_refused():
    x = torch.ones(3, device="npu")
    for other in (torch.ones(3), torch.ones(3, device="npu:1")):
        with pytest.raises(RuntimeError, match=f"same device.*npu:0 and {other.device}"):
            torch.special.zeta(x, other)
    assert torch.npu.fallback_stats().keys() <= {"aten::fill_.Scalar"}

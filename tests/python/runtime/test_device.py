import threading

import pytest
import torch


def test_there_are_two_devices_by_default():
    assert torch.npu.is_available()
    assert torch.npu.device_count() == 2


def test_device_context_restores():
    assert torch.npu.current_device() == 0
    with torch.npu.device(1):
        assert torch.npu.current_device() == 1
        assert torch.empty(1, device="npu").device == torch.device("npu:1")
        with torch.npu.device(None):
            assert torch.npu.current_device() == 1
    assert torch.npu.current_device() == 0


def test_device_of_a_tensor():
    with torch.npu.device_of(torch.empty(1, device="npu:1")):
        assert torch.npu.current_device() == 1
    with torch.npu.device_of(torch.empty(1)):
        assert torch.npu.current_device() == 0


def test_each_thread_has_its_own_current_device():
    seen = []

    def work():
        seen.append(torch.npu.current_device())
        torch.npu.set_device(1)
        seen.append(torch.npu.current_device())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0, 1]
    assert torch.npu.current_device() == 0


@pytest.mark.parametrize(
    "make", [lambda: torch.npu.set_device(7), lambda: torch.ones(1, device="npu:7")]
)
def test_a_device_that_does_not_exist(make):
    with pytest.raises(RuntimeError, match="npu:7 does not exist.* 2 device"):
        make()


def test_wrong_names_of_devices():
    with pytest.raises(ValueError, match="cuda:0"):
        torch.npu.set_device("cuda:0")
    with pytest.raises(TypeError, match="1.5"):
        torch.npu.synchronize(1.5)


def test_properties():
    properties = torch.npu.get_device_properties("npu:1")
    assert properties.name == torch.npu.get_device_name(1) == "n1"
    assert (properties.core_count, properties.matrix_rows) == (16, 128)
    assert properties.total_memory == 64 * 2**30
    assert torch.npu.get_device_capability() == (1, 0)
    assert torch.npu.is_bf16_supported()


OPERATIONS = {
    "mm": lambda x: x @ x,
    "bmm": lambda x: torch.bmm(x[None], x[None]),
    "addmm": lambda x: torch.addmm(x, x, x),
    "grouped_mm": lambda x: torch.nn.functional.grouped_mm(
        x, x[None], offs=torch.tensor([8], dtype=torch.int32, device=x.device)
    ),
    "softmax": lambda x: torch.softmax(x, -1),
    "log_softmax": lambda x: torch.log_softmax(x, 0),
    "cumsum": lambda x: x.cumsum(1),
    "cummax": lambda x: x.cummax(0).indices,
    "argmax": lambda x: x.argmax(),
    "max": lambda x: x.max(1).values,
    "add": lambda x: x + 1,
    "sum": lambda x: x.sum(0),
    "sort": lambda x: x.sort(1).values,
    "topk": lambda x: x.topk(3).values,
    "gather": lambda x: x.gather(0, x.argsort(0)),
    "index_put": lambda x: x.clone().index_put_((x[0].argsort(),), x[0]),
    "cat": lambda x: torch.cat([x, x]),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, (8,)),
    "attention": lambda x: torch.nn.functional.scaled_dot_product_attention(*[x[None, None]] * 3),
    "searchsorted": lambda x: torch.searchsorted(x.sort(1).values, x),
    "nonzero": lambda x: x.round().nonzero(),
    "tril": lambda x: x.tril(),
    "embedding": lambda x: torch.nn.functional.embedding(x.argsort(1), x),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_run_where_their_tensors_are(name):
    """Another device than the current one."""
    assert torch.npu.current_device() == 0
    x = torch.randn(8, 8)
    result = OPERATIONS[name](x.to("npu:1"))
    assert result.device == torch.device("npu:1")
    torch.testing.assert_close(result.cpu(), OPERATIONS[name](x))


def test_environment_chooses_devices(run_python):
    code = "import torch; print(torch.npu.device_count(), torch.npu.get_device_name(0))"
    assert run_python(code, NPU_DEVICE_COUNT="3").stdout == "3 n1\n"
    assert run_python(code, NPU_VISIBLE_DEVICES="1").stdout == "1 n1\n"
    assert run_python(code, NPU_ARCH="n1-edge").stdout == "2 n1-edge\n"


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("NPU_DEVICE_COUNT", "x", "1"),
        ("NPU_ARCH", "n9", "n1-edge"),
        ("NPU_FALLBACK", "no", "silent"),
    ],
)
def test_a_wrong_environment_is_explained(run_python, name, value, right):
    result = run_python(
        """
        import torch
        try:
            torch.ones(2, device="npu")
        except RuntimeError as error:
            print(error)
        """,
        **{name: value},
    )
    assert result.returncode == 0, result.stderr
    assert value in result.stdout and right in result.stdout
    assert name in result.stdout or "machine 'n9'" in result.stdout


def test_context_parts_of_the_hooks():
    assert torch.npu.is_initialized()
    assert torch.npu.can_device_access_peer(0, 1)
    assert not torch.npu._is_in_bad_fork()
    assert torch.npu._initialized

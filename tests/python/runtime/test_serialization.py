import copy
import io
import pickle

import pytest
import torch


def round_trip(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return torch.load(buffer, **options)


def test_save_and_load():
    x = torch.arange(6.0, device="npu:1").view(2, 3)
    loaded = round_trip({"x": x, "view": x[1]})
    assert loaded["x"].device == torch.device("npu:1")
    assert loaded["x"].cpu().equal(x.cpu())
    assert loaded["view"].data_ptr() == loaded["x"].data_ptr() + 12


@pytest.mark.parametrize("location", ["cpu", "npu", "npu:1"])
def test_map_location(location):
    for source in (torch.arange(5), torch.arange(5, device="npu")):
        loaded = round_trip(source, map_location=location)
        wanted = torch.device(location)
        assert loaded.device.type == wanted.type and loaded.device.index in (wanted.index, 0)
        assert loaded.tolist() == [0, 1, 2, 3, 4]


def test_load_to_a_device_that_does_not_exist():
    with pytest.raises(RuntimeError, match="(?i)npu"):
        round_trip(torch.ones(2), map_location="npu:9")


def test_modules_and_optimizers():
    module = torch.nn.Linear(3, 2).npu()
    state = round_trip(module.state_dict(), map_location="npu")
    other = torch.nn.Linear(3, 2).npu()
    other.load_state_dict(state)
    assert other.weight.cpu().equal(module.weight.cpu())


def test_pickle_and_deepcopy():
    x = torch.arange(4.0, device="npu", requires_grad=True)
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert again.device == x.device and again.requires_grad
        assert again.data_ptr() != x.data_ptr() and again.tolist() == x.tolist()
    parameter = copy.deepcopy(torch.nn.Parameter(torch.ones(2, device="npu")))
    assert isinstance(parameter, torch.nn.Parameter) and parameter.tolist() == [1, 1]


def test_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "x.safetensors")
    x = {"a": torch.arange(4.0, device="npu"), "b": torch.ones(2, dtype=torch.bfloat16)}
    safetensors.save_file(x, path)
    loaded = safetensors.load_file(path, device="npu")
    assert loaded["a"].device.type == "npu" and loaded["a"].tolist() == [0, 1, 2, 3]
    assert loaded["b"].dtype == torch.bfloat16


def test_dlpack():
    x = torch.arange(4.0, device="npu:1")
    # PyTorch's torch.from_dlpack(x) does not know renamed devices; the capsule does.
    y = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    assert y.device == x.device and y.data_ptr() == x.data_ptr()


def test_printing():
    text = repr(torch.tensor([1.5, 2.0], device="npu"))
    assert text == "tensor([1.5000, 2.0000], device='npu:0')"

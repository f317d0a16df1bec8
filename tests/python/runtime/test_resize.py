import pytest
import torch


def test_resize_keeps_contents():
    x = torch.arange(6.0, device="npu")
    x.resize_(2, 2)
    assert x.cpu().tolist() == [[0, 1], [2, 3]]
    x.resize_(100)
    assert x.cpu()[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert x.untyped_storage().nbytes() == 400
    x.resize_(0)
    assert x.numel() == 0


def test_resize_with_memory_format_and_offset():
    x = torch.arange(8.0, device="npu")[2:]
    x.resize_(20)
    assert x.cpu()[:6].tolist() == [2, 3, 4, 5, 6, 7]
    y = torch.empty(0, device="npu").resize_((1, 2, 3, 4), memory_format=torch.channels_last)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.empty(0, device="npu").resize_as_(y).shape == y.shape


def test_a_shared_storage_grows_for_all():
    x = torch.arange(4.0, device="npu")
    view = x[:2]
    x.resize_(1000)
    assert view.data_ptr() == x.data_ptr() and view.cpu().tolist() == [0, 1]


def test_out_arguments_are_resized():
    out = torch.empty(0, device="npu")
    torch.add(torch.ones(3, device="npu"), 1, out=out)
    assert out.cpu().tolist() == [2, 2, 2]


def test_set():
    x = torch.arange(6.0, device="npu")
    y = torch.empty(0, device="npu")
    y.set_(x)
    assert y.data_ptr() == x.data_ptr()
    y.set_(x.untyped_storage(), 2, (2, 2), (2, 1))
    assert y.cpu().tolist() == [[2, 3], [4, 5]]
    y.set_(x.untyped_storage())
    assert y.shape == (6,)
    y.set_()
    assert y.numel() == 0 and y.device.type == "npu"
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.empty(3, device="npu").set_(x.untyped_storage(), 5, (3,), (1,))


def test_storages():
    x = torch.arange(4, dtype=torch.uint8, device="npu")
    storage = x.untyped_storage()
    assert (storage.device.type, storage.nbytes(), storage.tolist()) == ("npu", 4, [0, 1, 2, 3])
    storage.resize_(6)
    assert storage.nbytes() == 6 and storage.tolist()[:4] == [0, 1, 2, 3]
    storage.fill_(9)
    assert x.cpu().tolist() == [9] * 4
    assert storage.clone().tolist() == [9] * 6
    storage.resize_(0)
    assert storage.nbytes() == 0
    assert torch.UntypedStorage(3, device="npu").device.type == "npu"
    assert storage.npu() is storage


def test_copy_from_and_resize_keeps_strides():
    # What a fallback writes into a view that has the right sizes must not change its strides.
    x = torch.zeros(4, 6, device="npu")
    view = x[:, ::2]
    cpu = torch.arange(12.0).reshape(4, 3)
    torch._copy_from_and_resize(cpu, view)
    assert view.stride() == (6, 2) and x.cpu()[:, ::2].equal(cpu) and x.cpu()[:, 1::2].sum() == 0
    empty = torch.empty(0, device="npu")
    torch._copy_from_and_resize(cpu, empty)
    assert empty.cpu().equal(cpu)


def test_deterministic_fill():
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3, device="npu").isnan().all().item()
        assert torch.empty_strided((2, 2), (1, 2), device="npu").isnan().all().item()
        x = torch.ones(2, device="npu").resize_(4).cpu()
        assert x[:2].tolist() == [1, 1] and x[2:].isnan().all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_wrong_options():
    with pytest.raises(RuntimeError, match="pinned"):
        torch.empty(2, device="npu", pin_memory=True)
    with pytest.raises(RuntimeError, match="negative dimension -1"):
        torch.empty(-1, device="npu")

import torch


def test_the_accelerator_is_the_npu():
    assert torch.accelerator.is_available()
    assert torch.accelerator.current_accelerator() == torch.device("npu")
    assert torch.accelerator.device_count() == 2


def test_device_index():
    assert torch.accelerator.current_device_index() == 0
    with torch.accelerator.device_index(1):
        assert torch.npu.current_device() == 1
    torch.accelerator.set_device_index(1)
    assert torch.npu.current_device() == 1
    torch.accelerator.set_device_index(0)


def test_streams():
    side = torch.Stream(device="npu")
    with side:
        assert torch.accelerator.current_stream() == side
    torch.accelerator.set_stream(side)
    assert torch.npu.current_stream() == side
    torch.accelerator.set_stream(torch.npu.default_stream())
    torch.accelerator.synchronize()


def test_capability():
    dtypes = torch.accelerator.get_device_capability()["supported_dtypes"]
    assert {torch.float32, torch.bfloat16, torch.int64, torch.bool} <= dtypes
    assert torch.complex64 not in dtypes


def test_memory():
    x = torch.empty(1 << 20, device="npu")
    assert torch.accelerator.memory_allocated() >= x.nbytes
    torch.accelerator.reset_peak_memory_stats()
    assert torch.accelerator.max_memory_allocated() == torch.accelerator.memory_allocated()
    torch.accelerator.empty_cache()
    torch.accelerator.empty_host_cache()

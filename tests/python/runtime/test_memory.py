import gc

import pytest
import torch

MIB = 2**20


@pytest.fixture(autouse=True)
def clean():
    gc.collect()
    torch.npu.synchronize()
    torch.npu.empty_cache()
    torch.npu.reset_peak_memory_stats()


def test_allocated_and_reserved_follow_tensors():
    before = torch.npu.memory_allocated(), torch.npu.memory_reserved()
    x = torch.empty(MIB, dtype=torch.uint8, device="npu")
    assert torch.npu.memory_allocated() - before[0] == MIB
    assert torch.npu.memory_reserved() - before[1] == MIB
    del x
    assert torch.npu.memory_allocated() == before[0]
    assert torch.npu.memory_reserved() - before[1] == MIB
    torch.npu.empty_cache()
    assert torch.npu.memory_reserved() == before[1]
    assert torch.npu.max_memory_allocated() - before[0] == MIB


def test_released_memory_is_reused_for_its_size_class():
    x = torch.empty(1000, device="npu")
    address = x.data_ptr()
    del x
    y = torch.empty(1001, device="npu")
    assert y.data_ptr() == address
    z = torch.empty(100000, device="npu")
    assert z.data_ptr() != address


def test_every_tensor_is_an_allocation_of_its_own():
    row = 1024
    x = [torch.empty(1, device="npu") for _ in range(4)]
    assert len({t.data_ptr() for t in x}) == 4
    assert all(t.data_ptr() % row == 0 for t in x)


def test_empty_tensors_take_no_memory():
    before = torch.npu.memory_allocated()
    x = torch.empty(0, 5, device="npu")
    assert torch.npu.memory_allocated() == before and x.data_ptr() == 0


def test_devices_are_counted_apart():
    before = torch.npu.memory_allocated(0), torch.npu.memory_allocated(1)
    x = torch.empty(MIB, device="npu:1")
    assert torch.npu.memory_allocated(0) == before[0]
    assert torch.npu.memory_allocated(1) - before[1] == x.nbytes


def test_memory_of_another_stream_is_not_handed_over():
    x = torch.empty(MIB, device="npu")
    address = x.data_ptr()
    del x
    with torch.npu.stream(torch.npu.Stream()):
        y = torch.empty(MIB, device="npu")
    assert y.data_ptr() != address


def test_record_stream_keeps_memory_until_the_stream_is_done():
    side = torch.npu.Stream()
    x = torch.empty(MIB, device="npu")
    address = x.data_ptr()
    x.record_stream(side)
    del x
    side.synchronize()
    torch.empty(1, device="npu")  # notices that the stream is done
    assert torch.empty(MIB, device="npu").data_ptr() == address
    with pytest.raises(RuntimeError, match="npu:1"):
        torch.empty(1, device="npu").record_stream(torch.npu.Stream("npu:1"))


def test_unused_memory_does_not_pile_up():
    before = torch.npu.memory_reserved()
    for i in range(24):
        torch.empty((64 + 16 * i) * MIB, dtype=torch.uint8, device="npu")
    assert torch.npu.memory_reserved() - before <= 1024 * MIB


def test_untouched_memory_costs_the_host_nothing():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    x = torch.empty(32 * 2**30, dtype=torch.uint8, device="npu")
    assert x.nbytes == 32 * 2**30
    assert resident() - before < 64 * MIB


def test_out_of_memory(run_python):
    result = run_python(
        """
        import torch
        x = torch.empty(700 << 20, dtype=torch.uint8, device="npu")
        try:
            torch.empty(400 << 20, dtype=torch.uint8, device="npu")
        except torch.OutOfMemoryError as error:
            print(error)
        print(torch.npu.mem_get_info(), torch.npu.memory_stats()["num_ooms"])
        del x
        print(torch.empty(1000 << 20, dtype=torch.uint8, device="npu").shape[0])
        """,
        NPU_HBM_LIMIT="1G",
    )
    assert result.returncode == 0, result.stderr
    message, info, size = result.stdout.splitlines()
    free = 2**30 - 704 * MIB
    for number in (400 * MIB, free, 2**30):
        assert f" {number} bytes" in message, message
    assert info == f"({free}, {2**30}) 1"
    assert int(size) == 1000 * MIB


def test_statistics():
    stats = torch.npu.memory_stats()
    x = torch.empty(3, device="npu"), torch.empty(MIB, device="npu")
    now = torch.npu.memory_stats()
    assert now["allocation.all.current"] - stats["allocation.all.current"] == len(x)
    assert now["allocation.large_pool.current"] - stats["allocation.large_pool.current"] == 1
    requested = "requested_bytes.all.current"
    assert now[requested] - stats[requested] == 12 + 4 * MIB
    assert "npu:0" in torch.npu.memory_summary() and "large_pool" in torch.npu.memory_summary()
    assert "large_pool" not in torch.npu.memory_summary(abbreviated=True)


def test_accelerator_sees_the_same():
    x = torch.empty(MIB, device="npu")
    assert torch.accelerator.memory_allocated() == torch.npu.memory_allocated() >= x.nbytes
    free, total = torch.accelerator.get_memory_info(0)
    assert (free, total) == torch.npu.mem_get_info()
    assert total == torch.npu.get_device_properties().total_memory


def test_reset_device_drops_memory_silently(run_python):
    result = run_python(
        """
        import torch
        x = torch.ones(1000, device="npu")
        other = torch.ones(3, device="npu:1")
        torch.npu.reset_device()
        assert torch.npu.memory_allocated() == torch.npu.memory_reserved() == 0
        try:
            x.cpu()
        except RuntimeError as error:
            assert "reset" in str(error).lower() or "stale" in str(error).lower(), error
        else:
            raise AssertionError("a tensor from before the reset still works")
        del x
        y = torch.ones(1000, device="npu")
        assert y.cpu().sum().item() == 1000 and torch.npu.memory_allocated() == 4096
        assert other.cpu().tolist() == [1, 1, 1]
        """
    )
    assert result.returncode == 0, result.stderr

import pytest
import torch


def test_default_and_current_stream():
    default = torch.npu.default_stream()
    assert torch.npu.current_stream() == default
    assert (default.stream_id, default.device) == (0, torch.device("npu:0"))
    assert isinstance(default, torch.npu.Stream) and isinstance(default, torch.Stream)


def test_stream_context_restores_stream_and_device():
    side = torch.npu.Stream("npu:1")
    with torch.npu.stream(side):
        assert torch.npu.current_stream() == side
        assert torch.npu.current_device() == 1
    assert torch.npu.current_stream("npu:1") == torch.npu.default_stream(1)
    assert torch.npu.current_device() == 0
    with torch.npu.stream(None):
        assert torch.npu.current_stream() == torch.npu.default_stream()
    with side:
        assert torch.npu.current_stream() == side
    assert torch.npu.current_device() == 0


def test_set_stream():
    side = torch.npu.Stream(priority=-1)
    torch.npu.set_stream(side)
    assert torch.accelerator.current_stream() == side
    torch.npu.set_stream(torch.npu.default_stream())


def test_streams_differ_and_generic_ones_work():
    a, b = torch.npu.Stream(), torch.Stream(device="npu")
    assert a != b and b.device.type == "npu"
    assert a.native_handle != b.native_handle


def test_a_stream_that_does_not_exist():
    with pytest.raises(RuntimeError, match="no such stream"):
        torch.npu.Stream(stream_id=1000, device_index=0, device_type=20).synchronize()


def test_work_is_ordered_by_events():
    side = torch.npu.Stream()
    x = torch.zeros(1 << 20, device="npu")
    side.wait_stream(torch.npu.current_stream())
    with torch.npu.stream(side):
        x.fill_(3)
        done = side.record_event()
    torch.npu.current_stream().wait_event(done)
    assert x.cpu().min().item() == 3
    assert done.query() and side.query()


def test_event_times_are_simulated_milliseconds():
    def measure(repeats):
        source = torch.zeros(1 << 22, device="npu")
        target = torch.empty_like(source)
        start, end = (torch.npu.Event(enable_timing=True) for _ in range(2))
        torch.npu.synchronize()
        start.record()
        for _ in range(repeats):
            target.copy_(source)
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    once = measure(1)
    assert once == measure(1)
    # 32 MiB through 2,400 GB/s take 0.014 ms
    assert 0.01 < once < 0.05
    assert measure(8) > 6 * once


def test_event_errors():
    start, end = (torch.npu.Event(enable_timing=True) for _ in range(2))
    assert start.query()  # never recorded
    assert isinstance(start, torch.npu.Event) and not isinstance(
        torch.Event("cpu"), torch.npu.Event
    )
    end.record()
    end.synchronize()
    with pytest.raises(ValueError, match="recorded"):
        start.elapsed_time(end)
    with pytest.raises(NotImplementedError):
        torch.npu.Event(interprocess=True)


def test_event_of_another_device():
    event = torch.npu.Event()
    event.record(torch.npu.current_stream("npu:1"))
    event.wait(torch.npu.current_stream("npu:0"))
    event.synchronize()


def test_generic_event():
    event = torch.Event("npu", enable_timing=True)
    event.record()
    event.synchronize()
    assert event.query() and event.device.type == "npu"


def test_synchronize_all_ways():
    torch.npu.synchronize()
    torch.npu.synchronize("npu:1")
    torch.accelerator.synchronize()
    torch.npu.current_stream().synchronize()

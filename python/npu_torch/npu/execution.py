"""What the devices ran: programs of one's own, counters, simulated time, fallbacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from npu_torch import _C
from npu_torch.npu._utils import Device, _get_device_index, checked_index
from npu_torch.npu.device import device_count


def launch(
    asm_text: str,
    grid: int,
    args: Sequence[torch.Tensor | int | float],
    device: Device = None,
    kernel: str = "",
) -> None:
    """Run program ids 0 to `grid` - 1 of a program in text form (docs/isa.md).

    The program takes the same path as the library's own. `args` match its `.arg` lines in order: a
    tensor (the address of its first element) for `ptr`, an int for `i64`, a float for `f64`. It
    runs on the current stream of `device`, by default that of the first tensor. `kernel` chooses
    among several kernels of the text.

    Raises ValueError for text that does not assemble and RuntimeError for arguments that do not
    match. An error on the device is asynchronous and sticky: the next call that touches the device
    raises it, and so does every later one until reset_device().
    """
    index = -1 if device is None else _get_device_index(device, optional=True)
    _C.launch(asm_text, grid, list(args), index, kernel)


def counters(device: Device = None) -> dict[str, int]:
    """What the device, or all devices together, did since reset_counters(). Waits for its work.

    Instructions by engine, bytes that DMA read from and wrote to HBM, useful multiply-accumulates
    (`macs`) and those done beyond them (`padded_macs`), bytes over the host link.
    """
    if device is not None:
        return _C.counters(checked_index(device))
    total: dict[str, int] = {}
    for index in range(device_count()):
        for name, value in _C.counters(checked_index(index)).items():
            total[name] = total.get(name, 0) + value
    return total


def reset_counters(device: Device = None) -> None:
    """Let the counters of the device, or of all devices, start anew."""
    for index in range(device_count()) if device is None else [_get_device_index(device, True)]:
        _C.reset_counters(index)


def simulated_time_ns(device: Device = None) -> float:
    """Simulated nanoseconds since the start or reset_device(), all the device's work done."""
    return _C.simulated_time_ns(_get_device_index(device, optional=True))


def fallback_stats() -> dict[str, int]:
    """How often each operator ran on the CPU for want of a kernel, such as {"aten::foo": 2}."""
    return _C.fallback_stats()


def reset_fallback_stats() -> None:
    """Let the counts of fallback_stats() start anew."""
    _C.reset_fallback_stats()


@dataclasses.dataclass(frozen=True)
class Activity:
    """One launch or copy as a device did it. Times are simulated nanoseconds."""

    name: str  # of the kernel, or "copy host to device", ...
    device: int
    stream: int
    sequence: int  # order in which the host enqueued it
    enqueue_ns: float  # the host's clock then
    start_ns: float
    duration_ns: float  # on the device, launch cost apart
    cycles: int
    grid: int
    bound_by: str
    hbm_utilization: float  # 0 to 1 of the peak
    matrix_utilization: float
    counters: dict[str, int]


@contextmanager
def record_activity() -> Iterator[list[Activity]]:
    """Collect what all devices do inside the `with` block; the list is filled at its end."""
    records: list[Activity] = []
    _C.start_recording()
    try:
        yield records
    finally:
        records.extend(Activity(**record) for record in _C.stop_recording())

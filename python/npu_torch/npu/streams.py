"""Streams and events. Work on one stream is done in order; times are simulated."""

from __future__ import annotations

from typing import Any

import torch

from npu_torch import _C
from npu_torch.npu._utils import Device, _get_device_index, checked_index

_DEVICE_TYPE = int(torch._C._autograd.DeviceType.PrivateUse1)


class Stream(torch.Stream):
    """A queue of work of a device. All streams have the same priority; others are accepted."""

    def __new__(cls, device: Device = None, priority: int = 0, **kwargs: Any) -> Stream:
        """Take the next stream of the device's pool, or wrap the one that kwargs name."""
        if "stream_id" in kwargs:
            return super().__new__(cls, **kwargs)
        index = _get_device_index(device, optional=True)
        return super().__new__(cls, device=torch.device("npu", index), priority=priority)


class _EventType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, torch.Event) and instance.device.type == "npu"


class Event(metaclass=_EventType):
    """A mark in a stream; a torch.Event, since PyTorch takes no subclasses of it.

    `elapsed_time` is in milliseconds of simulated time, at full resolution; timing costs nothing,
    so `enable_timing` only keeps to PyTorch's rule that it must be asked for.
    """

    def __new__(  # type: ignore[misc]
        cls, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> torch.Event:
        """Make an event, not recorded yet."""
        if interprocess:
            raise NotImplementedError("events of the npu are not shared between processes")
        return torch.Event("npu", enable_timing=enable_timing, blocking=blocking)


def _stream(index: int, stream_id: int) -> Stream:
    return Stream(stream_id=stream_id, device_index=index, device_type=_DEVICE_TYPE)


def current_stream(device: Device = None) -> Stream:
    """The calling thread's current stream of the device."""
    index = checked_index(device)
    return _stream(index, _C.current_stream(index))


def default_stream(device: Device = None) -> Stream:
    """The device's default stream."""
    return _stream(checked_index(device), 0)


def set_stream(stream: torch.Stream | None) -> None:
    """Make `stream` its device's current one for the calling thread. None changes nothing."""
    if stream is not None:
        _C.set_stream(stream)


class StreamContext:
    """Makes a stream, and its device, current; see `stream()`."""

    def __init__(self, stream: torch.Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is None:
            return
        self._previous_device = _C.exchange_device(self.stream.device_index)
        self._previous_stream = current_stream()
        _C.set_stream(self.stream)

    def __exit__(self, *exc: object) -> None:
        if self.stream is None:
            return
        _C.set_stream(self._previous_stream)
        _C.exchange_device(self._previous_device)


def stream(stream: torch.Stream | None) -> StreamContext:
    """Context manager under which work goes to `stream`. None changes nothing."""
    return StreamContext(stream)

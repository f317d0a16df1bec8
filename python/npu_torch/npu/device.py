"""Devices: which there are, which is current, what they can do."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from npu_torch import _C
from npu_torch.npu._utils import Device, _get_device_index, checked_index


@dataclasses.dataclass(frozen=True)
class DeviceProperties:
    """A device as its machine file describes it."""

    name: str
    clock_ghz: float
    core_count: int
    scratchpad_bytes: int  # a core
    matrix_rows: int
    matrix_cols: int
    vector_lanes: int  # a core; 32-bit elements a cycle
    special_lanes: int
    total_memory: int  # bytes, NPU_HBM_LIMIT applied
    hbm_bandwidth_gbps: float  # decimal GB/s of the whole device
    hbm_stream_efficiency: float  # the share of it that sequential transfers reach
    launch_ns: float  # host cost of one launch
    peak_macs_per_second: float  # 16-bit, all cores

    @property
    def multi_processor_count(self) -> int:
        """Cores, under the name that torch.cuda uses."""
        return self.core_count


def is_available() -> bool:
    """Whether there is a device. Never raises and does not initialise it."""
    return device_count() > 0


def is_initialized() -> bool:
    """Whether the process has used a device."""
    return bool(_C.is_initialized())


def init() -> None:
    """Initialise the device; needless, since first use does. Raises what is wrong with it."""
    _C.init()


def device_count() -> int:
    """Devices that the process sees: NPU_DEVICE_COUNT (default 2) and NPU_VISIBLE_DEVICES."""
    return int(_C.device_count())


def current_device() -> int:
    """Index of the calling thread's current device. Raises its sticky error if it has one."""
    return checked_index()


def set_device(device: Device) -> None:
    """Make `device` current for the calling thread. A negative index changes nothing."""
    index = _get_device_index(device)
    if index >= 0:
        _C.set_device(index)


def _exchange_device(index: int) -> int:
    return int(_C.exchange_device(index))


_maybe_exchange_device = _exchange_device


class device:  # noqa: N801 - torch.cuda's name
    """Context manager that makes a device current. None and negative indices change nothing."""

    def __init__(self, device: Device) -> None:
        self.idx = -1 if device is None else _get_device_index(device, optional=True)
        self.prev_idx = -1

    def __enter__(self) -> None:
        self.prev_idx = _exchange_device(self.idx)

    def __exit__(self, *exc: object) -> None:
        _exchange_device(self.prev_idx)


class device_of(device):  # noqa: N801 - torch.cuda's name
    """Context manager that makes a tensor's or storage's device current, if it is on the npu."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.device.index if obj.device.type == "npu" else None)


def synchronize(device: Device = None) -> None:
    """Wait for all work of the device. Raises its sticky error if it has one."""
    _C.synchronize(_get_device_index(device, optional=True))


def reset_device(device: Device = None) -> None:
    """Clear a sticky error and free the device.

    Work not done yet is dropped, counters and clocks start anew, and tensors that live on the
    device can no longer be used.
    """
    _C.reset_device(_get_device_index(device, optional=True))


def get_device_properties(device: Device = None) -> DeviceProperties:
    """The device as its machine file describes it."""
    return DeviceProperties(**_C.device_properties(checked_index(device)))


def get_device_name(device: Device = None) -> str:
    """The machine's name, such as "n1"."""
    return get_device_properties(device).name


def get_device_capability(device: Device = None) -> tuple[int, int]:
    """Version of the instruction set, major and minor."""
    checked_index(device)
    return (1, 0)


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether bfloat16 is native: always."""
    return True


def get_arch_list() -> list[str]:
    """Machines that code can be for: the one of each visible device, without duplicates."""
    return sorted({get_device_name(i) for i in range(device_count())})


def can_device_access_peer(device: Device, peer_device: Device) -> bool:
    """Whether the devices copy to each other directly: any two different ones do."""
    return checked_index(device) != checked_index(peer_device)


def get_amp_supported_dtype() -> list[torch.dtype]:
    """The dtypes that torch.autocast("npu") takes."""
    return [torch.bfloat16, torch.float16]

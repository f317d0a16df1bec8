"""What the parts of torch.npu share."""

from __future__ import annotations

from typing import TypeAlias

import torch

from npu_torch import _C

Device: TypeAlias = "torch.device | str | int | None"


def _get_device_index(
    device: Device = None, optional: bool = False, allow_cpu: bool = False
) -> int:
    """Index of a device given in any of the ways users name one.

    None and "npu" mean the current device, which `optional=False` forbids, as in torch.cuda.
    """
    if isinstance(device, int) and not isinstance(device, bool):
        return device
    if isinstance(device, str):
        device = torch.device(device)
    if isinstance(device, torch.device):
        if allow_cpu and device.type == "cpu":
            return -1
        if device.type != "npu":
            raise ValueError(f"expected an npu device, got {device}")
        if device.index is not None:
            return device.index
    elif device is not None:
        raise TypeError(f"expected a device or its index, got {device!r}")
    if not optional:
        raise ValueError(f"expected a device with an index, such as 'npu:0', got {device!r}")
    return _C.current_device()


def checked_index(device: Device = None) -> int:
    """The index of `device`, or of the current one; raises the device's sticky error if any."""
    index = _get_device_index(device, optional=True)
    _C.check_device(index)
    return index

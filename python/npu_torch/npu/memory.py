"""Memory of a device: the caching allocator's statistics under torch.cuda's names."""

from __future__ import annotations

from typing import Any

import torch

from npu_torch.npu._utils import Device, checked_index


def memory_allocated(device: Device = None) -> int:
    """Bytes that tensors hold now."""
    return torch.accelerator.memory_allocated(checked_index(device))


def max_memory_allocated(device: Device = None) -> int:
    """Most bytes that tensors have held since the start or reset_peak_memory_stats()."""
    return torch.accelerator.max_memory_allocated(checked_index(device))


def memory_reserved(device: Device = None) -> int:
    """Bytes taken from the device: those of tensors and those kept for reuse."""
    return torch.accelerator.memory_reserved(checked_index(device))


def max_memory_reserved(device: Device = None) -> int:
    """Most bytes taken from the device since the start or reset_peak_memory_stats()."""
    return torch.accelerator.max_memory_reserved(checked_index(device))


def memory_stats(device: Device = None) -> dict[str, Any]:
    """All statistics of the allocator; torch.accelerator.memory_stats documents the keys."""
    return torch.accelerator.memory_stats(checked_index(device))


def reset_peak_memory_stats(device: Device = None) -> None:
    """Let the peaks start anew from what is held now."""
    torch.accelerator.reset_peak_memory_stats(checked_index(device))


def reset_accumulated_memory_stats(device: Device = None) -> None:
    """Let the sums of what was ever allocated and freed start anew."""
    torch.accelerator.reset_accumulated_memory_stats(checked_index(device))


def mem_get_info(device: Device = None) -> tuple[int, int]:
    """Free and total bytes of the device, NPU_HBM_LIMIT applied."""
    free, total = torch.accelerator.get_memory_info(checked_index(device))
    return free, total


def empty_cache() -> None:
    """Return memory kept for reuse to the devices."""
    torch.accelerator.empty_cache()


def memory_summary(device: Device = None, abbreviated: bool = False) -> str:
    """The statistics as a readable table; `abbreviated` leaves out the split by block size."""
    index = checked_index(device)
    stats = memory_stats(index)
    rows = [
        ("allocated", "allocated_bytes"),
        ("requested", "requested_bytes"),
        ("active", "active_bytes"),
        ("reserved", "reserved_bytes"),
    ]
    pools = ["all"] if abbreviated else ["all", "small_pool", "large_pool"]
    lines = [f"Memory of npu:{index} in MiB{'':13}current{'':8}peak"]
    for title, key in rows:
        for pool in pools:
            current, peak = (stats.get(f"{key}.{pool}.{what}", 0) for what in ("current", "peak"))
            lines.append(f"  {title:<12}{pool:<12}{current / 2**20:>16,.1f}{peak / 2**20:>12,.1f}")
    free, total = mem_get_info(index)
    lines.append(f"  free {free / 2**20:,.1f} of {total / 2**20:,.1f}")
    lines.append(
        f"  {stats.get('num_device_alloc', 0)} device allocations, "
        f"{stats.get('num_device_free', 0)} returned, {stats.get('num_ooms', 0)} out of memory"
    )
    return "\n".join(lines)

"""torch.npu: the device's interface, with torch.cuda's names where they make sense."""

from __future__ import annotations

from typing import Any

from npu_torch import _C
from npu_torch.npu import _utils as _utils
from npu_torch.npu import random as random
from npu_torch.npu.device import (
    DeviceProperties,
    _exchange_device,
    _maybe_exchange_device,
    can_device_access_peer,
    current_device,
    device,
    device_count,
    device_of,
    get_amp_supported_dtype,
    get_arch_list,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    is_available,
    is_bf16_supported,
    is_initialized,
    reset_device,
    set_device,
    synchronize,
)
from npu_torch.npu.execution import (
    Activity,
    counters,
    fallback_stats,
    launch,
    record_activity,
    reset_counters,
    reset_fallback_stats,
    simulated_time_ns,
)
from npu_torch.npu.memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_accumulated_memory_stats,
    reset_peak_memory_stats,
)
from npu_torch.npu.random import (
    default_generators,
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)
from npu_torch.npu.streams import (
    Event,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    set_stream,
    stream,
)

__all__ = [
    "Activity",
    "DeviceProperties",
    "Event",
    "Stream",
    "StreamContext",
    "_exchange_device",
    "_maybe_exchange_device",
    "can_device_access_peer",
    "counters",
    "current_device",
    "current_stream",
    "default_generators",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "fallback_stats",
    "get_amp_supported_dtype",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "launch",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "random",
    "record_activity",
    "reset_accumulated_memory_stats",
    "reset_counters",
    "reset_device",
    "reset_fallback_stats",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "simulated_time_ns",
    "stream",
    "synchronize",
]


def _is_in_bad_fork() -> bool:
    """Whether the process was forked from one that had used the device."""
    return bool(_C.in_bad_fork())


def __getattr__(name: str) -> Any:
    if name == "_initialized":  # torch.utils.checkpoint asks so
        return is_initialized()
    raise AttributeError(f"module 'torch.npu' has no attribute {name!r}")

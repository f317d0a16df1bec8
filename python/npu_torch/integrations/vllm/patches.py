"""The changes to vLLM that no hook allows, each with its reason."""

from __future__ import annotations

import functools

import torch


@functools.cache
def streams() -> None:
    """Point torch.cuda's streams and events at the device.

    The model runner names torch.cuda.Stream, Event, current_stream, default_stream, stream and
    set_stream where it means the accelerator's; vLLM's own platforms without CUDA replace them in
    the same way. A process that serves from the npu has no CUDA device to use them for.
    """
    for name in ("Stream", "Event", "current_stream", "default_stream", "stream", "set_stream"):
        setattr(torch.cuda, name, getattr(torch.npu, name))

"""The changes to vLLM that no hook allows, each with its reason."""

from __future__ import annotations

import functools
from typing import Any

import torch

from npu_torch.integrations.vllm import kernels


@functools.cache
def streams() -> None:
    """Point torch.cuda's streams and events at the device.

    The model runner names torch.cuda.Stream, Event, current_stream, default_stream, stream and
    set_stream where it means the accelerator's; vLLM's own platforms without CUDA replace them in
    the same way. A process that serves from the npu has no CUDA device to use them for.
    """
    for name in ("Stream", "Event", "current_stream", "default_stream", "stream", "set_stream"):
        setattr(torch.cuda, name, getattr(torch.npu, name))


@functools.cache
def slot_mappings() -> None:
    """Let the block tables of one step share what depends on its tokens alone.

    A model with sliding windows has several tables. The kernel is called for each, and not told
    that they belong together.
    """
    from vllm.v1.worker.block_table import MultiGroupBlockTable

    stock = MultiGroupBlockTable.compute_slot_mapping

    @functools.wraps(stock)
    def shared(*args: Any, **kwargs: Any) -> None:
        with kernels.same_tokens():
            stock(*args, **kwargs)

    MultiGroupBlockTable.compute_slot_mapping = shared

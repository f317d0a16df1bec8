"""Replacements of vLLM's Triton kernels, in tensor operations. Their signatures must be exact."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def compute_slot_mapping(  # noqa: N803 - the kernel's names
    num_tokens: int,
    max_num_tokens: int,
    query_start_loc_ptr: Tensor,
    positions_ptr: Tensor,
    block_table_ptr: Tensor,
    block_table_stride: int,
    slot_mapping_ptr: Tensor,
    KV_CACHE_BLOCK_SIZE: int,  # noqa: N803
    TOTAL_CP_WORLD_SIZE: int,  # noqa: N803
    TOTAL_CP_RANK: int,  # noqa: N803
    CP_KV_CACHE_INTERLEAVE_SIZE: int,  # noqa: N803
    PAD_ID: int,  # noqa: N803
    BLOCK_SIZE: int,  # noqa: N803
) -> None:
    """Slot of the KV cache for each of the step's tokens; PAD_ID for what lies beyond them.

    query_start_loc [requests + 1] int32, positions [>= num_tokens] int64, block_table
    [requests, block_table_stride] int32, slot_mapping [>= max_num_tokens] int64.
    """
    if TOTAL_CP_WORLD_SIZE != 1:
        raise NotImplementedError("context parallelism on the npu")
    positions = positions_ptr[:num_tokens]
    tokens = torch.arange(num_tokens, dtype=torch.int32, device=positions.device)
    # A token belongs to the request after the last one that ended before it.
    request = torch.searchsorted(query_start_loc_ptr[1:], tokens, right=True)
    block = torch.div(positions, KV_CACHE_BLOCK_SIZE, rounding_mode="floor")
    offset = positions - block * KV_CACHE_BLOCK_SIZE
    pages = block_table_ptr.view(-1)[request * block_table_stride + block]
    slot_mapping_ptr[:num_tokens] = pages.to(torch.int64) * KV_CACHE_BLOCK_SIZE + offset
    slot_mapping_ptr[num_tokens:max_num_tokens].fill_(PAD_ID)


OVERRIDES: dict[str, Callable[..., None]] = {
    "vllm.v1.worker.block_table.ComputeSlotMappingKernel.kernel": compute_slot_mapping,
}

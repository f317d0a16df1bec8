"""Replacements, in tensor operations, of vLLM's Triton kernels and compiled operators.

Signatures must be exact. vLLM asks for these early: nothing here imports vLLM.
"""

from __future__ import annotations

import functools
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


def _topk_softmax(
    topk_weights: Tensor,
    topk_ids: Tensor,
    token_expert_indices: Tensor,
    gating_output: Tensor,
    renormalize: bool,
    bias: Tensor | None = None,
    is_padding: Tensor | None = None,
) -> None:
    """Weights and ids of each token's experts.

    gating_output [tokens, experts]; writes topk_weights [tokens, k] float32 and topk_ids
    [tokens, k]. token_expert_indices, which serves sorting elsewhere, is left alone, and padding is
    routed like other tokens: nobody reads what it yields.
    """
    if bias is not None:
        raise NotImplementedError("routing with a score correction bias on the npu")
    k = topk_ids.shape[1]
    logits = gating_output.float()
    if renormalize:
        # The chosen probabilities divided by their sum: the softmax of the chosen logits.
        values, ids = torch.topk(logits, k)
        torch.softmax(values, -1, out=topk_weights)
    else:
        values, ids = torch.topk(torch.softmax(logits, -1), k)
        topk_weights.copy_(values)
    topk_ids.copy_(ids)


@functools.cache
def register_operators() -> torch.library.Library:
    """Provide `_moe_C::topk_softmax`, which a vLLM without compiled parts lacks."""
    library = torch.library.Library("_moe_C", "FRAGMENT")
    library.define(
        "topk_softmax(Tensor(a!) topk_weights, Tensor(b!) topk_indices, "
        "Tensor(c!) token_expert_indices, Tensor gating_output, bool renormalize, "
        "Tensor? bias=None, Tensor? is_padding=None) -> ()"
    )
    library.impl("topk_softmax", _topk_softmax, "PrivateUse1")
    return library

"""Replacements, in tensor operations, of vLLM's Triton kernels and compiled operators.

Signatures must be exact. vLLM asks for these early: this module does not import vLLM.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from npu_torch.integrations.experts import route

# Within same_tokens(), what _table_entries has returned, by its numbers.
_entries: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
_sharing = False


@contextlib.contextmanager
def same_tokens() -> Iterator[None]:
    """Slot mappings within are of the same tokens, for several block tables."""
    global _sharing
    _sharing = True
    try:
        yield
    finally:
        _sharing = False
        _entries.clear()


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
    key = (block_table_stride, KV_CACHE_BLOCK_SIZE)
    found = _entries.get(key)
    if found is None:
        found = _table_entries(positions_ptr[:num_tokens], query_start_loc_ptr[1:], *key)
        if _sharing:
            _entries[key] = found
    entry, offset = found
    pages = block_table_ptr.view(-1)[entry]
    torch.add(offset, pages, alpha=KV_CACHE_BLOCK_SIZE, out=slot_mapping_ptr[:num_tokens])
    slot_mapping_ptr[num_tokens:max_num_tokens].fill_(PAD_ID)


def _table_entries(
    positions: Tensor, ends: Tensor, stride: int, block_size: int
) -> tuple[Tensor, Tensor]:
    """Of each token, its page's place in the flat block table and its own place in the page."""
    tokens = torch.arange(len(positions), dtype=torch.int32, device=positions.device)
    # A token belongs to the request after the last one that ended before it.
    request = torch.searchsorted(ends, tokens, right=True)
    block = torch.div(positions, block_size, rounding_mode="floor")
    return torch.add(block, request, alpha=stride), torch.sub(positions, block, alpha=block_size)


def _places(cumulative: Tensor, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Request [tokens] and position in it [tokens] of each draft token; drafts of each request.

    cumulative [requests]: the requests' draft tokens, summed up.
    """
    starts = torch.cat((cumulative.new_zeros(1), cumulative[:-1]))
    every = torch.arange(tokens, dtype=cumulative.dtype, device=cumulative.device)
    request = torch.searchsorted(cumulative, every, right=True)
    return request, (every - starts[request]).long(), cumulative - starts


def _store_accepted(
    output: Tensor,
    cumulative: Tensor,
    accepted: Tensor,
    token: Tensor,
    bonus: Tensor,
    applies: Tensor | None,
) -> None:
    """Write each request's tokens up to the first that is not accepted, or all and the bonus.

    output [requests, drafts + 1]; accepted and token [tokens]; applies: the requests to write.
    """
    request, position, drafts = _places(cumulative, token.shape[0])
    rejected = torch.ones(output.shape, dtype=torch.int32, device=output.device)
    rejected[request, position] = (~accepted).to(torch.int32)
    taken = (rejected.cumsum(1) == 0).sum(1)
    write, whole = position <= taken[request], taken == drafts
    if applies is not None:
        write, whole = write & applies[request], whole & applies
    old = output[request, position]
    output[request, position] = torch.where(write, token.to(output.dtype), old)
    last = drafts.long().unsqueeze(1)
    extra = torch.where(
        whole.unsqueeze(1), bonus.view(-1, 1).to(output.dtype), output.gather(1, last)
    )
    output.scatter_(1, last, extra)


def rejection_greedy_sample(
    output_token_ids_ptr: Tensor,
    cu_num_draft_tokens_ptr: Tensor,
    draft_token_ids_ptr: Tensor,
    target_argmax_ptr: Tensor,
    bonus_token_ids_ptr: Tensor,
    is_greedy_ptr: Tensor | None,
    max_spec_len: int,
    uniform_probs_ptr: Tensor | None,
    synthetic_conditional_rates_ptr: Tensor | None,
    SYNTHETIC_MODE: bool,  # noqa: N803
) -> None:
    """Greedy requests take draft tokens as long as they are the model's own choice."""
    if SYNTHETIC_MODE:
        raise NotImplementedError("synthetic acceptance rates on the npu")
    _store_accepted(
        output_token_ids_ptr,
        cu_num_draft_tokens_ptr,
        draft_token_ids_ptr == target_argmax_ptr,
        target_argmax_ptr,
        bonus_token_ids_ptr,
        is_greedy_ptr,
    )


def rejection_random_sample(
    output_token_ids_ptr: Tensor,
    cu_num_draft_tokens_ptr: Tensor,
    draft_token_ids_ptr: Tensor,
    draft_probs_ptr: Tensor | None,
    target_probs_ptr: Tensor,
    bonus_token_ids_ptr: Tensor,
    recovered_token_ids_ptr: Tensor,
    uniform_probs_ptr: Tensor,
    is_greedy_ptr: Tensor,
    max_spec_len: int,
    vocab_size: int,
    synthetic_conditional_rates_ptr: Tensor | None,
    NO_DRAFT_PROBS: bool,  # noqa: N803
    SYNTHETIC_MODE: bool,  # noqa: N803
) -> None:
    """Other requests take a draft token by the ratio of its probabilities, or the recovered one."""
    if SYNTHETIC_MODE:
        raise NotImplementedError("synthetic acceptance rates on the npu")
    column = draft_token_ids_ptr.clamp(min=0).long().unsqueeze(1)  # -1 is a draft to be rejected
    target = target_probs_ptr.gather(1, column).squeeze(1)
    accepted = draft_token_ids_ptr >= 0
    if draft_probs_ptr is None or NO_DRAFT_PROBS:
        accepted &= target >= uniform_probs_ptr
    else:
        draft = draft_probs_ptr.gather(1, column).squeeze(1)
        accepted &= (draft > 0) & (target >= uniform_probs_ptr * draft)
    _store_accepted(
        output_token_ids_ptr,
        cu_num_draft_tokens_ptr,
        accepted,
        torch.where(accepted, draft_token_ids_ptr, recovered_token_ids_ptr),
        bonus_token_ids_ptr,
        ~is_greedy_ptr,
    )


def expand(
    output_ptr: Tensor,
    input_ptr: Tensor,
    cu_num_tokens_ptr: Tensor,
    replace_from: int,
    replace_to: int,
    MAX_NUM_TOKENS: int,  # noqa: N803
) -> None:
    """Repeat each request's value for each of its tokens, with one value replaced."""
    request, _, _ = _places(cu_num_tokens_ptr, output_ptr.shape[0])
    values = torch.where(input_ptr == replace_from, replace_to, input_ptr)
    output_ptr.copy_(values.index_select(0, request))


def sample_recovered_tokens(
    output_token_ids_ptr: Tensor,
    cu_num_draft_tokens_ptr: Tensor,
    draft_token_ids_ptr: Tensor,
    draft_probs_ptr: Tensor | None,
    target_probs_ptr: Tensor,
    inv_q_ptr: Tensor,
    vocab_size: int,
    BLOCK_SIZE: int,  # noqa: N803
    NO_DRAFT_PROBS: bool,  # noqa: N803
    USE_FP64_GUMBEL: bool,  # noqa: N803
) -> None:
    """Draw, for each draft token, the one to take if it is rejected; inv_q [requests, vocab]."""
    request, _, _ = _places(cu_num_draft_tokens_ptr, draft_token_ids_ptr.shape[0])
    if draft_probs_ptr is None or NO_DRAFT_PROBS:
        every = torch.arange(vocab_size, dtype=torch.int32, device=target_probs_ptr.device)
        probabilities = target_probs_ptr.masked_fill(every == draft_token_ids_ptr.unsqueeze(1), 0)
    else:
        probabilities = (target_probs_ptr - draft_probs_ptr).clamp(min=0)
    output_token_ids_ptr.copy_((probabilities * inv_q_ptr[request]).argmax(-1))


_SAMPLER = "vllm.v1.sample.rejection_sampler."

OVERRIDES: dict[str, Callable[..., None]] = {
    "vllm.v1.worker.block_table.ComputeSlotMappingKernel.kernel": compute_slot_mapping,
    _SAMPLER + "rejection_greedy_sample_kernel": rejection_greedy_sample,
    _SAMPLER + "rejection_random_sample_kernel": rejection_random_sample,
    _SAMPLER + "expand_kernel": expand,
    _SAMPLER + "sample_recovered_tokens_kernel": sample_recovered_tokens,
}


@functools.cache
def register_overrides() -> None:
    """Put the replacements in the kernels' places. Once: vLLM asks anew for each engine."""
    from vllm.triton_utils.dispatcher import register_kernels

    register_kernels(OVERRIDES)


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
    [tokens, k] int64. token_expert_indices, which serves sorting elsewhere, is left alone, and
    padding is routed like other tokens: nobody reads what it yields.
    """
    if bias is not None:
        raise NotImplementedError("routing with a score correction bias on the npu")
    route(gating_output, topk_ids.shape[1], renormalize, out=(topk_weights, topk_ids))


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

"""The KV cache and the allocators of its slots."""

from __future__ import annotations

from typing import Any

import torch
from sglang.srt.mem_cache.allocator.paged import PagedTokenToKVPoolAllocator, alloc_extend_naive
from sglang.srt.mem_cache.allocator.token import TokenToKVPoolAllocator
from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool
from sglang.srt.utils import get_num_new_pages
from torch import Tensor


class NpuTokenToKVPool(MHATokenToKVPool):
    """SGLang's token pool, written to by `reshape_and_cache` and read as pages."""

    def get_paged_buffers(self, layer_id: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, [pages, page_size, kv_heads, head_dim] each, as views."""
        return self._paged(self.get_key_buffer(layer_id)), self._paged(
            self.get_value_buffer(layer_id)
        )

    def _paged(self, buffer: Tensor) -> Tensor:
        return buffer.view(-1, self.page_size, *buffer.shape[1:])

    def _store_kv_layer(
        self, layer_idx: int, loc: Tensor, cache_k: Tensor, cache_v: Tensor
    ) -> None:
        """Write T tokens' keys and values [T, kv_heads, head_dim] to slots loc [T]."""
        torch.ops.npu.reshape_and_cache(
            cache_k,
            cache_v,
            self._paged(self.k_buffer[layer_idx]),
            self._paged(self.v_buffer[layer_idx]),
            loc,
        )


class NpuPagedAllocator(PagedTokenToKVPoolAllocator):
    """SGLang's paged allocator, with tensor operations in place of its Triton kernels."""

    free_pages: Tensor

    def alloc_extend(
        self,
        prefix_lens: Tensor,
        prefix_lens_cpu: Tensor,
        seq_lens: Tensor,
        seq_lens_cpu: Tensor,
        last_loc: Tensor,
        extend_num_tokens: int,
        num_new_pages: int | None = None,
    ) -> Tensor | None:
        """Slots of the tokens from prefix_lens to seq_lens, or None if pages run short."""
        if num_new_pages is None:
            num_new_pages = get_num_new_pages(
                seq_lens=seq_lens_cpu, page_size=self.page_size, prefix_lens=prefix_lens_cpu
            )
        if not self._reserve(num_new_pages):
            return None
        slots = torch.empty((extend_num_tokens,), dtype=torch.int64, device=self.device)
        alloc_extend_naive(
            prefix_lens,
            seq_lens,
            last_loc,
            self.free_pages,
            slots,
            self.page_size,
            self.device,
        )
        self.free_pages = self.free_pages[num_new_pages:]
        return slots

    def alloc_decode(
        self, seq_lens: Tensor, seq_lens_cpu: Tensor, last_loc: Tensor
    ) -> Tensor | None:
        """One further slot for each request, or None if pages run short."""
        num_new_pages = get_num_new_pages(
            seq_lens=seq_lens_cpu, page_size=self.page_size, decode=True
        )
        if not self._reserve(num_new_pages):
            return None
        following = last_loc.to(torch.int64) + 1
        if num_new_pages == 0:
            return following
        opens = torch.remainder(seq_lens, self.page_size) == 1
        order = (torch.cumsum(opens, 0) - 1).clamp_(min=0)
        first = self.free_pages[:num_new_pages].index_select(0, order) * self.page_size
        self.free_pages = self.free_pages[num_new_pages:]
        return torch.where(opens, first, following)

    def _reserve(self, pages: int) -> bool:
        if pages > len(self.free_pages):
            self.merge_and_sort_free()
        return pages <= len(self.free_pages)


def make_allocator(
    size: int,
    page_size: int,
    dtype: torch.dtype,
    device: str,
    kvcache: Any,
    need_sort: bool,
) -> TokenToKVPoolAllocator | NpuPagedAllocator:
    """Make the allocator for a page size; SGLang asks out-of-tree platforms for one class only."""
    if page_size == 1:
        return TokenToKVPoolAllocator(size, dtype, device, kvcache, need_sort)
    return NpuPagedAllocator(size, page_size, dtype, device, kvcache, need_sort)

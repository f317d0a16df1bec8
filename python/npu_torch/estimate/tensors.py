"""Tensors of an estimator, and views of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

# _C.Estimator and its tensors come from the extension module, which has no types.
Estimator = Any
Tensor = Any


def linear_weight(e: Estimator, dtype: str, inputs: int, outputs: int) -> Tensor:
    """A linear layer's weight [outputs, inputs], as the [inputs, outputs] operand of a product."""
    return e.empty(dtype, [outputs, inputs]).as_strided([inputs, outputs], [1, inputs], 0)


def heads_view(packed: Tensor, tokens: int, row: int, start: int, heads: int, dim: int) -> Tensor:
    """[tokens, heads, dim] of the elements from `start` on of each row of `packed`."""
    return packed.as_strided([tokens, heads, dim], [row, dim, 1], start)


class Sequences:
    """Sequences in a paged KV cache: the integers that steer attention."""

    def __init__(
        self, e: Estimator, query_lens: Sequence[int], kv_lens: Sequence[int], block: int
    ) -> None:
        """Query and key lengths of each; the queries are the last ones of the keys."""
        count = len(kv_lens)
        used = [-(-length // block) for length in kv_lens]
        widest = max(used)
        table = array("i")
        for first, blocks in zip(accumulate(used, initial=0), used, strict=False):
            table.extend(range(first, first + blocks))
            table.extend([0] * (widest - blocks))
        self.block = block
        self.blocks = sum(used)
        self.tokens = sum(query_lens)
        self.max_query_len = max(query_lens)
        self.table = e.integers(table, [count, widest])
        self.query_starts = e.integers(array("i", accumulate(query_lens, initial=0)), [count + 1])
        self.kv_lens = e.integers(array("i", kv_lens), [count])
        self.slots = e.empty("i64", [self.tokens])


# Keys and values [blocks, block, heads, dim]: estimator, dtype, blocks, block, heads, dim.
KvCache = Callable[[Estimator, str, int, int, int, int], tuple[Tensor, Tensor]]


def kv_cache(
    e: Estimator, dtype: str, blocks: int, block: int, heads: int, dim: int
) -> tuple[Tensor, Tensor]:
    """Keys and values [blocks, block, heads, dim], each contiguous in an allocation of its own."""
    keys, values = (e.empty(dtype, [blocks, block, heads, dim]) for _ in range(2))
    return keys, values


def vllm_kv_cache(
    e: Estimator, dtype: str, blocks: int, block: int, heads: int, dim: int
) -> tuple[Tensor, Tensor]:
    """Keys and values [blocks, block, heads, dim] of one cache as vLLM lays it out.

    A block holds its heads one after the other, a slot of a head its key beside its value.
    """
    cache = e.empty(dtype, [blocks, heads, block, 2 * dim])
    sizes = [blocks, block, heads, dim]
    strides = [heads * block * 2 * dim, 2 * dim, block * 2 * dim, 1]
    return cache.as_strided(sizes, strides, 0), cache.as_strided(sizes, strides, dim)

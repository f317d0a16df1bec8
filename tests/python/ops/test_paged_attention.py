"""torch.ops.npu.paged_attention and reshape_and_cache."""

import itertools
import math
import sys
from dataclasses import dataclass, field

import pytest
import torch

import npu_torch.ops as npu
from ops import reference
from ops.reference import assert_close

HEADS, KV_HEADS, DIM = 4, 2, 32
SINKS = torch.tensor([0.5, -1.0, 2.0, 0.0])
OPTIONS = {
    "causal": {},
    "not causal": {"causal": False},
    "scale": {"scale": 0.3},
    "window": {"window": 9},
    "soft cap": {"soft_cap": 1.5},
    "sinks": {"sinks": SINKS},
    "all": {"scale": 0.4, "window": 21, "soft_cap": 2.0, "sinks": SINKS},
}


@dataclass
class Batch:
    """A mixed batch: decoding, a first prompt, a chunk of a longer prompt, nothing, decoding."""

    dtype: torch.dtype = torch.bfloat16
    block_size: int = 16
    fused: bool = False  # keys and values interleaved in one tensor, as vLLM keeps them
    queries: list[int] = field(default_factory=lambda: [1, 20, 7, 0, 1])
    keys: list[int] = field(default_factory=lambda: [75, 20, 40, 3, 1])

    def __post_init__(self):
        self.blocks_each = [-(-keys // self.block_size) for keys in self.keys]
        blocks = sum(self.blocks_each) + 3
        order = iter(torch.randperm(blocks).tolist())
        # What lies beyond a sequence's blocks is never read.
        self.table = torch.full((len(self.keys), max(self.blocks_each) + 2), 2**30)
        self.query = torch.randn(sum(self.queries), HEADS, DIM).to(self.dtype)
        self.starts = torch.tensor([0, *itertools.accumulate(self.queries)])
        shape = (blocks, self.block_size, KV_HEADS, DIM)
        if self.fused:
            both = torch.full((blocks, 2, *shape[1:]), float("nan"), dtype=self.dtype)
            self.key_cache, self.value_cache = both.npu().unbind(1)
        else:
            cache = torch.full(shape, float("nan"), dtype=self.dtype)
            self.key_cache, self.value_cache = cache.npu(), cache.npu()
        self.rows, slots = [], []
        for i, keys in enumerate(self.keys):
            for block in range(self.blocks_each[i]):
                self.table[i, block] = next(order)
            places = torch.arange(keys)
            slots.append(self.table[i, places // self.block_size] * self.block_size)
            slots[-1] += places % self.block_size
            self.rows.append([torch.randn(keys, KV_HEADS, DIM).to(self.dtype) for _ in range(2)])
        npu.reshape_and_cache(
            torch.cat([row[0] for row in self.rows]).npu(),
            torch.cat([row[1] for row in self.rows]).npu(),
            self.key_cache,
            self.value_cache,
            torch.cat(slots).npu(),
        )

    def arguments(self, index=torch.int32):
        return (
            self.query.npu(),
            self.key_cache,
            self.value_cache,
            self.table.to(index).npu(),
            self.starts.to(index).npu(),
            torch.tensor(self.keys, dtype=index).npu(),
            max(self.queries),
        )

    def expected(self, causal=True, **options):
        starts = itertools.pairwise(self.starts.tolist())
        parts = [
            reference.attention(self.query[a:b], key, value, causal=causal, **options)
            for (a, b), (key, value) in zip(starts, self.rows, strict=True)
        ]
        return torch.cat(parts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OPTIONS)
def test_mixed_batch(dtype, name):
    batch, options = Batch(dtype), OPTIONS[name]
    on_device = {k: v.npu() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    actual = npu.paged_attention(*batch.arguments(), **on_device)
    assert actual.dtype == dtype and actual.is_contiguous()
    assert_close(actual, batch.expected(**options))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("block_size", [1, 16, 32, 64])
def test_block_sizes_and_the_fused_cache(block_size, fused):
    batch = Batch(block_size=block_size, fused=fused)
    assert batch.key_cache.is_contiguous() == (not fused)
    assert_close(npu.paged_attention(*batch.arguments()), batch.expected())
    actual = npu.paged_attention(*batch.arguments(torch.int64), window=17)
    assert_close(actual, batch.expected(window=17))


def test_heads_outside_blocks():
    """A cache with heads before slots in memory, seen as [blocks, block_size, heads, dim]."""
    batch = Batch()
    for name in ("key_cache", "value_cache"):
        cache = getattr(batch, name)
        setattr(batch, name, cache.transpose(1, 2).contiguous().transpose(1, 2))
    assert_close(npu.paged_attention(*batch.arguments()), batch.expected())


def test_the_cache_of_vllm():
    """[blocks, heads, block_size, 2 * dim]: each value beside its key."""
    for queries in ([1] * 6, [1, 1, 20, 1, 7, 1]):
        batch = Batch(queries=queries, keys=[1, 5, 20, 17, 300, 33])
        both = torch.cat([batch.key_cache, batch.value_cache], -1).transpose(1, 2).contiguous()
        pages = both.transpose(1, 2)
        batch.key_cache, batch.value_cache = pages[..., :DIM], pages[..., DIM:]
        assert_close(npu.paged_attention(*batch.arguments()), batch.expected())
        actual = npu.paged_attention(*batch.arguments(), window=17)
        assert_close(actual, batch.expected(window=17))


@pytest.mark.parametrize("kv_heads", [32, 64])
def test_many_narrow_heads(kv_heads):
    """Programs that take many heads side by side have registers enough."""
    caches = [torch.randn(40, 16, kv_heads, 16).bfloat16() for _ in range(2)]
    query = torch.randn(1, kv_heads, 16).bfloat16()
    lengths = torch.tensor([600], dtype=torch.int32)
    actual = npu.paged_attention(
        query.npu(),
        *(cache.npu() for cache in caches),
        torch.arange(40, dtype=torch.int32)[None].npu(),
        torch.tensor([0, 1], dtype=torch.int32).npu(),
        lengths.npu(),
        1,
        window=64,
    )
    rows = [cache.flatten(0, 1)[:600] for cache in caches]
    assert_close(actual, reference.attention(query, *rows, causal=True, window=64))


def test_out_and_strided_queries():
    batch = Batch(torch.float32)
    arguments = list(batch.arguments())
    tokens = arguments[0].shape[0]
    out = torch.zeros(tokens, 2 * HEADS, DIM, device="npu")
    fused = torch.zeros(tokens, 3 * HEADS, DIM, device="npu")
    fused[:, HEADS : 2 * HEADS] = arguments[0]
    arguments[0] = fused[:, HEADS : 2 * HEADS]
    arguments[3] = torch.nn.functional.pad(arguments[3], (0, 5))[:, :-5]
    part = out[:, :HEADS]
    assert npu.paged_attention(*arguments, out=part) is part
    assert_close(part, batch.expected())
    assert out[:, HEADS:].abs().max().item() == 0


def test_only_decoding():
    batch = Batch(queries=[1] * 6, keys=[1, 5, 16, 17, 300, 33])
    torch.npu.synchronize()
    arguments = batch.arguments()
    torch.npu.reset_counters()
    actual = npu.paged_attention(*arguments)
    assert torch.npu.counters()["macs"] == HEADS * sum(batch.keys) * 2 * DIM
    assert_close(actual, batch.expected())


def test_meta():
    *tensors, longest = Batch(torch.float32).arguments()
    meta = [x.to("meta") for x in tensors]
    result = npu.paged_attention(*meta, longest)
    assert (result.shape, result.dtype) == (tensors[0].shape, torch.float32)
    assert npu.paged_attention(*meta, longest, out=result) is result


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_errors(device):
    def empty(*sizes, dtype=torch.float32):
        return torch.zeros(sizes, dtype=dtype, device=device)

    def call(longest=1, out=None, **changes):
        arguments = {
            "query": empty(3, 4, 8),
            "key_cache": empty(5, 16, 2, 8),
            "value_cache": empty(5, 16, 2, 8),
            "block_table": empty(2, 2, dtype=torch.int32),
            "cu_seqlens_q": empty(3, dtype=torch.int32),
            "kv_lens": empty(2, dtype=torch.int32),
        }
        options = {k: changes.pop(k) for k in list(changes) if k not in arguments}
        return npu.paged_attention(*(arguments | changes).values(), longest, out=out, **options)

    call()
    with pytest.raises(TypeError, match="query to be float32.*Int"):
        call(query=empty(3, 4, 8, dtype=torch.int32))
    with pytest.raises(RuntimeError, match=r"query to have 3 dimensions.*\[3, 32\]"):
        call(query=empty(3, 32))
    with pytest.raises(RuntimeError, match="key_cache to be Float, but it is BFloat16"):
        call(key_cache=empty(5, 16, 2, 8, dtype=torch.bfloat16))
    with pytest.raises(RuntimeError, match=r"\[3, 4, 9\] and \[5, 16, 2, 8\]"):
        call(query=empty(3, 4, 9))
    with pytest.raises(RuntimeError, match=r"value_cache.*\[5, 16, 2, 8\].*\[6, 16, 2, 8\]"):
        call(value_cache=empty(6, 16, 2, 8))
    with pytest.raises(RuntimeError, match="3 query heads.* 2 key-value heads"):
        call(query=empty(3, 3, 8))
    with pytest.raises(TypeError, match="block_table.*int32 or int64.*Float"):
        call(block_table=empty(2, 2))
    with pytest.raises(RuntimeError, match=r"cu_seqlens_q.*\[3\].*\[2\]"):
        call(cu_seqlens_q=empty(2, dtype=torch.int32))
    with pytest.raises(RuntimeError, match=r"kv_lens.*\[2\].*\[4\]"):
        call(kv_lens=empty(4, dtype=torch.int32))
    with pytest.raises(ValueError, match="max_query_len 0"):
        call(longest=0)
    with pytest.raises(ValueError, match="window -3"):
        call(window=-3)
    with pytest.raises(RuntimeError, match=r"out.*\[3, 4, 8\].*\[3, 4, 7\]"):
        call(out=empty(3, 4, 7))
    with pytest.raises(RuntimeError, match="out to be Float, but it is Half"):
        call(out=empty(3, 4, 8, dtype=torch.half))
    with pytest.raises(NotImplementedError, match="k_scale and v_scale"):
        call(k_scale=empty(1))


def test_errors_of_devices():
    arguments = list(Batch(torch.float32).arguments())
    arguments[3] = arguments[3].cpu()
    with pytest.raises(RuntimeError, match="npu:0 and cpu"):
        npu.paged_attention(*arguments)


def test_block_outside_the_cache_is_a_device_error(run_python):
    result = run_python(
        """
        import torch, npu_torch.ops as npu
        i32 = {"dtype": torch.int32, "device": "npu"}
        cache = torch.ones(4, 16, 1, 8, device="npu")
        table, starts = torch.tensor([[9000]], **i32), torch.tensor([0, 1], **i32)
        lens = torch.tensor([5], **i32)
        q = torch.ones(1, 1, 8, device="npu")
        npu.paged_attention(q, cache, cache, table, starts, lens, 1)
        try:
            torch.npu.synchronize()
        except torch.AcceleratorError as error:
            print(error)
        torch.npu.reset_device()
        print(torch.ones(2, device="npu").tolist())
        """
    )
    assert result.returncode == 0, result.stderr
    assert "paged_attention" in result.stdout and result.stdout.endswith("[1.0, 1.0]\n")


def test_backward_is_not_implemented():
    query, *rest = Batch(torch.float32).arguments()
    query.requires_grad_()
    with pytest.raises(NotImplementedError, match="npu::paged_attention"):
        npu.paged_attention(query, *rest).sum().backward()
    out = torch.empty_like(query)
    with pytest.raises(NotImplementedError, match="npu::paged_attention"):
        npu.paged_attention(query, *rest, out=out.detach()).sum().backward()


# ---- reshape_and_cache ----


def written(key, cache, slots):
    flat = cache.clone().flatten(0, 1)
    for token, slot in enumerate(slots.tolist()):
        if slot >= 0:
            flat[slot] = key[token].to(cache.dtype)
    return flat.view(cache.shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cache_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_writes_only_its_slots(dtype, cache_dtype, index):
    slots = torch.tensor([7, -1, 31, 0, -5, 16], dtype=index)
    key, value = torch.randn(2, 8, 3, 20).to(dtype)  # two tokens more than slots
    caches = torch.randn(2, 2, 16, 3, 20).to(cache_dtype)
    on_device = [cache.npu() for cache in caches]
    assert npu.reshape_and_cache(key.npu(), value.npu(), *on_device, slots.npu()) is None
    assert torch.equal(on_device[0].cpu(), written(key, caches[0], slots))
    assert torch.equal(on_device[1].cpu(), written(value, caches[1], slots))


def test_strided_sources_and_caches():
    slots = torch.tensor([5, 2, -1, 30])
    fused = torch.randn(4, 2 * 3, 16).bfloat16()
    caches = torch.randn(2, 2, 16, 3, 16).bfloat16()  # [blocks, key or value, slot, head, dim]
    on_device = caches.npu()
    key, value = fused.npu().split(3, 1)
    npu.reshape_and_cache(key, value, *on_device.unbind(1), slots.npu())
    expected = [
        written(part, cache, slots)
        for part, cache in zip(fused.split(3, 1), caches.unbind(1), strict=True)
    ]
    assert torch.equal(on_device.cpu(), torch.stack(expected, 1))


def test_reshape_and_cache_meta_and_opcheck():
    key, cache = torch.randn(2, 3, 8), torch.randn(4, 16, 3, 8)
    slots = torch.tensor([3, 9])
    npu.reshape_and_cache(*(x.to("meta") for x in (key, key, cache, cache, slots)))
    arguments = (key.npu(), key.npu(), cache.npu(), cache.npu(), slots.npu())
    torch.library.opcheck(torch.ops.npu.reshape_and_cache, arguments)


@pytest.mark.parametrize("slot", [64, 2**31])
def test_slot_outside_the_cache_is_a_device_error(run_python, slot):
    result = run_python(
        f"""
        import torch, npu_torch.ops as npu
        cache, key = torch.zeros(8, 16, 1, 8, device="npu"), torch.ones(2, 1, 8, device="npu")
        part = cache[:4]
        npu.reshape_and_cache(key, key, part, part, torch.tensor([3, {slot}]).npu())
        try:
            torch.npu.synchronize()
        except torch.AcceleratorError as error:
            print(error)
        torch.npu.reset_device()
        print(torch.ones(2, device="npu").tolist())
        """
    )
    assert result.returncode == 0, result.stderr
    assert "reshape_and_cache" in result.stdout and result.stdout.endswith("[1.0, 1.0]\n")


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_reshape_and_cache_errors(device):
    key, cache = torch.zeros(4, 2, 8, device=device), torch.zeros(3, 16, 2, 8, device=device)
    slots = torch.zeros(4, dtype=torch.long, device=device)
    call = npu.reshape_and_cache
    with pytest.raises(RuntimeError, match=r"5 slots for key of sizes \[4, 2, 8\]"):
        call(key, key, cache, cache, torch.zeros(5, dtype=torch.long, device=device))
    with pytest.raises(RuntimeError, match=r"key to have sizes \[4, 2, 7\].*\[4, 2, 8\]"):
        call(key, key, cache[..., :7], cache, slots)
    with pytest.raises(RuntimeError, match=r"value to have sizes \[4, 2, 8\].*\[4, 1, 8\]"):
        call(key, key[:, :1], cache, cache, slots)
    with pytest.raises(RuntimeError, match=r"value_cache to have 4 dimensions.*\[16, 2, 8\]"):
        call(key, key, cache, cache[0], slots)
    with pytest.raises(TypeError, match="slot_mapping.*int32 or int64.*Float"):
        call(key, key, cache, cache, slots.float())
    with pytest.raises(TypeError, match="key to be float32.*Int"):
        call(key.int(), key, cache, cache, slots)
    with pytest.raises(NotImplementedError, match="k_scale and v_scale"):
        call(key, key, cache, cache, slots, None, torch.ones(1, device=device))
    if device == "npu":
        with pytest.raises(RuntimeError, match="npu:0 and cpu"):
            call(key, key, cache, cache, slots.cpu())


def test_sinks_of_minus_infinity_are_none_and_the_widest_window_hides_nothing():
    """Also where a program sees a part of a sequence whose later rows see nothing of it."""
    lengths = torch.tensor([2585, 2686, 1715, 459], dtype=torch.int32)
    blocks = (lengths + 31) // 32
    table = torch.zeros(4, int(blocks.max()), dtype=torch.int32)
    for row, (first, count) in enumerate(zip(blocks.cumsum(0) - blocks, blocks, strict=True)):
        table[row, :count] = torch.arange(int(first), int(first + count))
    cache = torch.randn(int(blocks.sum()), 32, 4, 32).npu()
    starts = torch.arange(0, 21, 5, dtype=torch.int32).npu()
    query = torch.randn(20, 8, 32).npu()

    def attend(**options: object) -> torch.Tensor:
        result = npu.paged_attention(
            query,
            cache[:, :, :2],
            cache[:, :, 2:],
            table.npu(),
            starts,
            lengths.npu(),
            5,
            **options,
        )
        return result.cpu()

    nothing = torch.full((8,), -math.inf).npu()
    assert torch.equal(attend(window=1500, sinks=nothing), attend(window=1500))
    for window in (sys.maxsize, sys.maxsize - 37):
        torch.testing.assert_close(attend(window=window), attend())

import itertools

import pytest
import torch

import npu_torch.ops as npu
from ops import reference
from ops.reference import assert_close

OPTIONS = {
    "plain": {},
    "causal": {"causal": True},
    "scale": {"scale": 0.3},
    "window": {"causal": True, "window": 5},
    "soft cap": {"soft_cap": 1.5, "causal": True},
    "sinks": {"sinks": torch.tensor([0.5, -1.0, 2.0, 0.0])},
    "all": {
        "causal": True,
        "scale": 0.4,
        "window": 7,
        "soft_cap": 2.0,
        "sinks": torch.tensor([3.0, 0.0, -2.0, 1.0]),
    },
}


def on_device(options):
    return {k: v.npu() if isinstance(v, torch.Tensor) else v for k, v in options.items()}


def dense_reference(query, key, value, mask=None, **options):
    rows = []
    for b in range(query.shape[0]):
        row = None if mask is None else mask[b]
        parts = (x[b].transpose(0, 1) for x in (query, key, value))
        rows.append(reference.attention(*parts, mask=row, **options).transpose(0, 1))
    return torch.stack(rows)


def tensors(dtype, batch=2, heads=4, kv_heads=2, queries=19, keys=33, dim=32, value_dim=24):
    query = torch.randn(batch, heads, queries, dim)
    key = torch.randn(batch, kv_heads, keys, dim)
    value = torch.randn(batch, kv_heads, keys, value_dim)
    return query.to(dtype), key.to(dtype), value.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OPTIONS)
def test_dense(dtype, name):
    query, key, value = tensors(dtype)
    actual = npu.flash_attention(query.npu(), key.npu(), value.npu(), **on_device(OPTIONS[name]))
    assert actual.shape == (2, 4, 19, 24) and actual.dtype == dtype
    assert_close(actual, dense_reference(query, key, value, **OPTIONS[name]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_broadcast(dtype):
    query, key, value = tensors(dtype)
    for sizes in ((19, 33), (2, 1, 1, 33), (2, 4, 19, 33), (4, 1, 33)):
        for mask in (torch.rand(sizes) > 0.3, torch.randn(sizes).to(dtype)):
            actual = npu.flash_attention(query.npu(), key.npu(), value.npu(), mask=mask.npu())
            expected = dense_reference(query, key, value, mask.expand(2, 4, 19, 33))
            assert_close(actual, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_strided_inputs(dtype):
    query, key, value = tensors(dtype)
    layouts = [x.transpose(1, 2).contiguous().npu().transpose(1, 2) for x in (query, key, value)]
    assert_close(npu.flash_attention(*layouts), dense_reference(query, key, value))
    fused = torch.randn(2, 9, 3, 4, 16).to(dtype)
    views = [x.transpose(1, 2) for x in fused.npu().unbind(2)]
    expected = dense_reference(*(x.transpose(1, 2) for x in fused.unbind(2)), causal=True)
    assert_close(npu.flash_attention(*views, causal=True), expected)


def test_rows_that_see_nothing_are_zero():
    query, key, value = tensors(torch.float32, queries=8, keys=5)
    actual = npu.flash_attention(query.npu(), key.npu(), value.npu(), causal=True)
    assert actual[:, :, :3].abs().max().item() == 0
    assert_close(actual, dense_reference(query, key, value, causal=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OPTIONS)
def test_packed(dtype, name):
    lengths_q, lengths_k = [5, 0, 17, 1], [5, 3, 40, 30]
    starts_q, starts_k = ([0, *itertools.accumulate(x)] for x in (lengths_q, lengths_k))
    query = torch.randn(sum(lengths_q), 4, 32).to(dtype)
    key = torch.randn(sum(lengths_k), 2, 32).to(dtype)
    value = torch.randn(sum(lengths_k), 2, 24).to(dtype)
    expected = torch.cat(
        [
            reference.attention(query[q0:q1], key[k0:k1], value[k0:k1], **OPTIONS[name])
            for (q0, q1), (k0, k1) in zip(
                itertools.pairwise(starts_q), itertools.pairwise(starts_k), strict=True
            )
        ]
    )
    tables = [
        torch.tensor(starts_q, dtype=torch.int32).npu(),
        torch.tensor(starts_k, dtype=torch.int32).npu(),
    ]
    for longest in (17, None):
        actual = npu.flash_attention(
            query.npu(), key.npu(), value.npu(), *tables, longest, **on_device(OPTIONS[name])
        )
        assert_close(actual, expected)


def test_one_launch_counts_visible_pairs():
    query, key, value = (x.npu() for x in tensors(torch.bfloat16, keys=19, value_dim=32))
    torch.npu.synchronize()
    torch.npu.reset_counters()
    npu.flash_attention(query, key, value, causal=True)
    counters = torch.npu.counters()
    assert counters["launches"] == 1
    assert counters["macs"] == 2 * 4 * (19 * 20 // 2) * (32 + 32)


def test_meta_and_opcheck():
    query, key, value = tensors(torch.float32, queries=3, keys=4)
    result = npu.flash_attention(*(x.to("meta").bfloat16() for x in (query, key, value)))
    assert (result.shape, result.dtype) == ((2, 4, 3, 24), torch.bfloat16)
    arguments = (query.npu(), key.npu(), value.npu())
    torch.library.opcheck(torch.ops.npu.flash_attention, arguments, {"causal": True, "window": 2})


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_errors(device):
    query, key, value = (x.to(device) for x in tensors(torch.float32))
    call = npu.flash_attention
    starts = torch.zeros(3, dtype=torch.int32, device=device)
    with pytest.raises(RuntimeError, match=r"query to have 4 dimensions.*\[4, 19, 32\]"):
        call(query[0], key, value)
    with pytest.raises(RuntimeError, match=r"query to have 3 dimensions.*\[2, 4, 19, 32\]"):
        call(query, key, value, starts, starts)
    with pytest.raises(RuntimeError, match="4 query heads.* 3 key-value heads"):
        call(query, key[:, :1].expand(2, 3, 33, 32), value)
    with pytest.raises(RuntimeError, match=r"\[2, 4, 19, 32\] and \[2, 2, 33, 31\]"):
        call(query, key[..., :31], value)
    with pytest.raises(RuntimeError, match=r"value.*\[2, 2, 33, 24\].*\[2, 2, 30, 24\]"):
        call(query, key, value[:, :, :30])
    with pytest.raises(RuntimeError, match=r"batches.*\[2, 4, 19, 32\] and \[1, 2, 33, 32\]"):
        call(query, key[:1], value[:1])
    with pytest.raises(RuntimeError, match="key to be Float, but it is Half"):
        call(query, key.half(), value)
    with pytest.raises(TypeError, match="query to be float32.*Int"):
        call(query.int(), key, value)
    packed = query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1)
    with pytest.raises(RuntimeError, match="given together"):
        call(*packed, starts)
    with pytest.raises(TypeError, match="cu_seqlens_k.*int32 or int64.*Float"):
        call(*packed, starts, starts.float())
    with pytest.raises(RuntimeError, match=r"cu_seqlens_k.*\[3\].*\[2\]"):
        call(*packed, starts, starts[:2])
    with pytest.raises(RuntimeError, match="dense form"):
        call(*packed, starts, starts, mask=starts.bool())
    with pytest.raises(RuntimeError, match=r"mask of sizes \[19, 7\].*\[2, 4, 19, 33\]"):
        call(query, key, value, mask=torch.ones(19, 7, device=device))
    with pytest.raises(TypeError, match="mask to be float32.*Int"):
        call(query, key, value, mask=torch.ones(19, 33, device=device, dtype=torch.int32))
    with pytest.raises(ValueError, match="window -1"):
        call(query, key, value, window=-1)
    with pytest.raises(ValueError, match="soft_cap -2"):
        call(query, key, value, soft_cap=-2.0)
    with pytest.raises(RuntimeError, match=r"sinks to have sizes \[4\].*\[3\]"):
        call(query, key, value, sinks=torch.ones(3, device=device))
    with pytest.raises(RuntimeError, match=r"key.*stride 1.*strides"):
        call(query, key.transpose(2, 3).contiguous().transpose(2, 3), value)


def test_errors_of_devices():
    query, key, value = (x.npu() for x in tensors(torch.float32))
    with pytest.raises(RuntimeError, match="npu:0 and cpu"):
        npu.flash_attention(query, key, value.cpu())
    with pytest.raises(RuntimeError, match="npu:0 and cpu"):
        npu.flash_attention(query, key, value, mask=torch.ones(19, 33))
    with pytest.raises(RuntimeError, match="npu:0 and npu:1"):
        npu.flash_attention(query, key, value, sinks=torch.ones(4, device="npu:1"))


def test_backward_is_not_implemented():
    query, key, value = (x.npu().requires_grad_() for x in tensors(torch.float32))
    with pytest.raises(NotImplementedError, match="npu::flash_attention"):
        npu.flash_attention(query, key, value).sum().backward()

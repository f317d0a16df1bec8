"""scaled_dot_product_attention and layer normalisation against the CPU."""

import pytest
import torch
import torch.nn.functional as F

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}
DTYPES = [torch.float32, torch.bfloat16]


def tensors(dtype, batch=2, heads=4, kv_heads=4, queries=19, keys=33, dim=32, value_dim=32):
    query = torch.randn(batch, heads, queries, dim)
    key = torch.randn(batch, kv_heads, keys, dim)
    value = torch.randn(batch, kv_heads, keys, value_dim)
    return query.to(dtype), key.to(dtype), value.to(dtype)


def check(query, key, value, mask=None, view=lambda x: x, **options):
    """The device against the CPU's double precision."""
    wide = [view(x).double() for x in (query, key, value)]
    wide_mask = mask if mask is None or mask.dtype == torch.bool else mask.double()
    expected = F.scaled_dot_product_attention(*wide, attn_mask=wide_mask, **options)
    on_device = [view(x.npu()) for x in (query, key, value)]
    actual = F.scaled_dot_product_attention(
        *on_device, attn_mask=None if mask is None else mask.npu(), **options
    )
    assert actual.dtype == query.dtype and actual.shape == expected.shape
    tolerance = TOLERANCES[query.dtype]
    torch.testing.assert_close(actual.cpu().double(), expected, rtol=tolerance, atol=tolerance)


def launches(query, key, value, **options):
    torch.npu.synchronize()
    torch.npu.reset_counters()
    F.scaled_dot_product_attention(query, key, value, **options)
    return torch.npu.counters()["launches"]


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16])
def test_plain_causal_and_scaled(dtype):
    check(*tensors(dtype))
    check(*tensors(dtype, keys=19), is_causal=True)
    check(*tensors(dtype, value_dim=20), scale=0.3)
    check(*tensors(dtype, queries=7, keys=19), is_causal=True)  # counted from the first key


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(19, 33), (2, 1, 1, 33), (2, 1, 19, 33), (2, 4, 19, 33)])
def test_masks(dtype, sizes):
    seen = torch.rand(sizes) > 0.3
    seen[..., 0] = True
    check(*tensors(dtype), mask=seen)
    check(*tensors(dtype), mask=torch.randn(sizes).to(dtype))
    additive = torch.zeros(sizes, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    check(*tensors(dtype), mask=additive)


def test_left_padded_rows_of_a_batch():
    """As transformers masks a left-padded prompt: the first rows see nothing."""
    seen = torch.ones(1, 1, 8, 8, dtype=torch.bool).tril()
    seen[..., :3] = False
    query, key, value = tensors(torch.float32, batch=1, queries=8, keys=8)
    actual = F.scaled_dot_product_attention(query.npu(), key.npu(), value.npu(), seen.npu()).cpu()
    expected = F.scaled_dot_product_attention(query, key, value, seen)
    torch.testing.assert_close(actual[:, :, 3:], expected[:, :, 3:], rtol=1e-5, atol=1e-5)
    assert actual.isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_grouped_heads(dtype):
    check(*tensors(dtype, heads=6, kv_heads=2), enable_gqa=True)
    check(*tensors(dtype, heads=6, kv_heads=1, keys=19), enable_gqa=True, is_causal=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_strided_inputs(dtype):
    check(*tensors(dtype), view=lambda x: x.transpose(0, 1))
    check(*tensors(dtype), view=lambda x: x[:, ::2, 1:, ::2])
    query, key, value = tensors(dtype, queries=12, keys=12, dim=12, value_dim=12)
    check(query, key, value, view=lambda x: x.transpose(2, 3))
    check(query, key, value, view=lambda x: x[:, :1].expand(2, 3, 12, 12))


def test_three_dimensions_and_double_precision():
    query, key, value = tensors(torch.float32)
    check(query[0], key[0], value[0])
    wide = [x.double() for x in (query, key, value)]
    actual = F.scaled_dot_product_attention(*(x.npu() for x in wide)).cpu()
    torch.testing.assert_close(actual, F.scaled_dot_product_attention(*wide))


def test_one_launch_unless_gradients_are_wanted():
    query, key, value = (x.npu() for x in tensors(torch.bfloat16, keys=19))
    assert launches(query, key, value, is_causal=True) == 1
    assert launches(query, key[:, :1], value[:, :1], enable_gqa=True) == 1
    query.requires_grad_()
    assert launches(query, key, value) > 1
    with torch.no_grad():
        assert launches(query, key, value) == 1


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"mask": torch.rand(19, 19) > 0.2}])
def test_gradients(options):
    mask = options.pop("mask", None)
    parts = [tensors(torch.float32, keys=19) for _ in range(1)][0]
    cpu = [x.clone().requires_grad_() for x in parts]
    npu = [x.npu().requires_grad_() for x in parts]
    on_device = None if mask is None else mask.npu()
    expected = F.scaled_dot_product_attention(*cpu, attn_mask=mask, **options)
    actual = F.scaled_dot_product_attention(*npu, attn_mask=on_device, **options)
    expected.square().sum().backward()
    actual.square().sum().backward()
    for mine, reference in zip(npu, cpu, strict=True):
        torch.testing.assert_close(mine.grad.cpu(), reference.grad, rtol=1e-4, atol=1e-4)


def test_dropout_keeps_the_mean():
    ones = torch.ones(4, 8, 64, 64).npu()
    result = F.scaled_dot_product_attention(ones, ones, ones, dropout_p=0.5)
    assert abs(result.mean().item() - 1) < 0.05 and result.std().item() > 0.01


def test_errors():
    query, key, value = (x.npu() for x in tensors(torch.float32))
    with pytest.raises(RuntimeError, match="(?i)dtype"):
        F.scaled_dot_product_attention(query, key.half(), value)
    with pytest.raises(RuntimeError, match="(?i)device"):
        F.scaled_dot_product_attention(query, key.cpu(), value)
    with pytest.raises(RuntimeError, match="31"):
        F.scaled_dot_product_attention(query, key, value, attn_mask=torch.ones(19, 31).npu())
    with pytest.raises(RuntimeError, match="(?i)explicit attn_mask.*is_causal"):
        mask = torch.ones(19, 33).npu()
        F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=True)


# ---- layer normalisation ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(7, 256), (2, 3, 100), (3, 5000)])
def test_layer_norm(dtype, sizes):
    x, weight, bias = (torch.randn(size).to(dtype) for size in (sizes, sizes[-1:], sizes[-1:]))
    for parameters in ((weight, bias), (weight, None), (None, None)):
        wide = [p if p is None else p.double() for p in parameters]
        expected = F.layer_norm(x.double(), sizes[-1:], *wide)
        on_device = [p if p is None else p.npu() for p in parameters]
        actual = F.layer_norm(x.npu(), sizes[-1:], *on_device)
        assert actual.dtype == dtype
        tolerance = TOLERANCES[dtype]
        torch.testing.assert_close(actual.cpu().double(), expected, rtol=tolerance, atol=tolerance)


def test_native_layer_norm_returns_statistics():
    x = torch.randn(4, 3, 8, 6)
    expected = torch.native_layer_norm(x, [8, 6], None, None, 1e-5)
    actual = torch.native_layer_norm(x.npu(), [8, 6], None, None, 1e-5)
    for mine, reference in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine.cpu(), reference, rtol=1e-5, atol=1e-5)


def test_layer_norm_of_strided_inputs():
    x = torch.randn(6, 8, 10)
    for view in (lambda t: t.transpose(0, 2), lambda t: t[::2, :, 1:9], lambda t: t[:, :, ::2]):
        size = view(x).shape[-1:]
        actual = F.layer_norm(view(x.npu()), size)
        torch.testing.assert_close(actual.cpu(), F.layer_norm(view(x), size), rtol=1e-5, atol=1e-5)


def test_layer_norm_errors():
    x = torch.randn(4, 8).npu()
    with pytest.raises(RuntimeError, match=r"\[7\].*\[4, 8\]|normalized_shape"):
        F.layer_norm(x, [7])
    with pytest.raises(RuntimeError, match="weight"):
        F.layer_norm(x, [8], torch.ones(7).npu())

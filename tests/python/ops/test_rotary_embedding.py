import pytest
import torch

import npu_torch.ops as npu
from ops.reference import assert_close


def make_cache(positions, rotary):
    angles = torch.arange(positions)[:, None] / 50 ** (torch.arange(rotary // 2) * 2 / rotary)
    return torch.cat([angles.cos(), angles.sin()], -1)


def rotate(x, positions, cache, neox):
    """x [T, H, D] in double precision."""
    rotary = cache.shape[1]
    cos, sin = cache.double()[positions.long()][:, None].chunk(2, -1)
    x = x.double().clone()
    if neox:
        first, second = x[..., : rotary // 2], x[..., rotary // 2 : rotary]
    else:
        first, second = x[..., 0:rotary:2], x[..., 1:rotary:2]
    rotated = first * cos - second * sin, second * cos + first * sin
    first.copy_(rotated[0]), second.copy_(rotated[1])
    return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("neox", [True, False])
@pytest.mark.parametrize("rotary", [64, 16])
def test_values(dtype, neox, rotary):
    tokens, heads, kv_heads, size = 13, 6, 2, 64
    positions = torch.randint(0, 100, (tokens,))
    cache = make_cache(100, rotary).to(dtype)
    query = torch.randn(tokens, heads * size).to(dtype)
    key = torch.randn(tokens, kv_heads, size).to(dtype)
    q, k = query.npu(), key.npu()
    assert npu.rotary_embedding(positions.npu(), q, k, size, cache.npu(), neox) is None
    expected = rotate(query.view(tokens, heads, size), positions, cache, neox)
    assert_close(q, expected.view(tokens, -1))
    assert_close(k, rotate(key, positions, cache, neox))
    assert torch.equal(k.cpu()[..., rotary:], key[..., rotary:])


def test_without_keys_and_with_int32_positions():
    query, cache = torch.randn(5, 2, 8), make_cache(9, 8)
    positions = torch.tensor([8, 0, 3, 3, 1], dtype=torch.int32)
    q = query.npu()
    npu.rotary_embedding(positions.npu(), q, None, 8, cache.npu())
    assert_close(q, rotate(query, positions, cache, True))


def test_parts_of_a_fused_projection():
    """Queries and keys as vLLM splits them off one product: strided rows, in place."""
    tokens, size = 7, 32
    fused, cache = torch.randn(tokens, (4 + 2 + 2) * size).bfloat16(), make_cache(64, size)
    positions = torch.arange(tokens)
    on_device = fused.npu()
    q, k, _ = on_device.split([4 * size, 2 * size, 2 * size], -1)
    npu.rotary_embedding(positions.npu(), q, k, size, cache.npu())
    heads = fused.view(tokens, 8, size)
    expected = heads.double()
    expected[:, :6] = rotate(heads[:, :6], positions, cache, True)
    assert_close(on_device, expected.view(tokens, -1))
    assert torch.equal(on_device.cpu()[:, 6 * size :], fused[:, 6 * size :])


def test_no_tokens():
    q = torch.empty(0, 16, device="npu")
    npu.rotary_embedding(torch.empty(0).long().npu(), q, None, 8, make_cache(4, 8).npu())


def test_position_outside_the_cache_is_a_device_error(run_python):
    result = run_python(
        """
        import torch, npu_torch.ops as npu
        q, cache = torch.ones(2, 8, device="npu"), torch.ones(4, 8, device="npu")
        npu.rotary_embedding(torch.tensor([1, 4]).npu(), q, None, 8, cache)
        try:
            torch.npu.synchronize()
        except torch.AcceleratorError as error:
            print(error)
        torch.npu.reset_device()
        print(torch.ones(2, device="npu").tolist())
        """
    )
    assert result.returncode == 0, result.stderr
    assert "rotary_embedding" in result.stdout and result.stdout.endswith("[1.0, 1.0]\n")


def test_meta_and_opcheck():
    positions, q, k = torch.arange(3), torch.randn(3, 16), torch.randn(3, 8)
    cache = make_cache(4, 8)
    meta = [x.to("meta") for x in (positions, q, k, cache)]
    npu.rotary_embedding(*meta[:3], 8, meta[3])
    torch.library.opcheck(
        torch.ops.npu.rotary_embedding, (positions.npu(), q.npu(), k.npu(), 8, cache.npu(), False)
    )


@pytest.mark.parametrize("device", ["npu", "meta"])
def test_errors(device):
    positions = torch.zeros(4, dtype=torch.long, device=device)
    q, cache = torch.zeros(4, 16, device=device), torch.zeros(9, 8, device=device)
    call = npu.rotary_embedding
    with pytest.raises(TypeError, match="positions.*int32 or int64.*Float"):
        call(positions.float(), q, None, 8, cache)
    with pytest.raises(TypeError, match="query to be float32.*Int"):
        call(positions, q.int(), None, 8, cache)
    with pytest.raises(RuntimeError, match=r"cos_sin_cache.*2 dimensions.*\[8\]"):
        call(positions, q, None, 8, cache[0])
    with pytest.raises(RuntimeError, match=r"\[9, 8\].*at most head_size 4"):
        call(positions, q, None, 4, cache)
    with pytest.raises(RuntimeError, match=r"\[9, 7\].*even"):
        call(positions, q, None, 8, cache[:, :7])
    with pytest.raises(RuntimeError, match=r"query \(sizes \[4, 16\]\).*head_size 12"):
        call(positions, q, None, 12, cache)
    with pytest.raises(RuntimeError, match=r"query of sizes \[4, 16\].* 2 tokens"):
        call(positions[:2], q, None, 8, cache)
    with pytest.raises(RuntimeError, match=r"key of sizes \[3, 8\].* 4 tokens"):
        call(positions, q, q[:3, :8], 8, cache)
    with pytest.raises(RuntimeError, match="key to be Float, but it is Half"):
        call(positions, q, q.half(), 8, cache)
    with pytest.raises(RuntimeError, match=r"query.*stride 1.*\[1, 4\]"):
        call(positions, torch.zeros(16, 4, device=device).t(), None, 8, cache)


def test_errors_of_devices():
    positions, q = torch.zeros(4, dtype=torch.long), torch.zeros(4, 16, device="npu")
    cache = torch.zeros(9, 8, device="npu")
    with pytest.raises(RuntimeError, match="cpu and npu:0"):
        npu.rotary_embedding(positions, q, None, 8, cache)
    with pytest.raises(RuntimeError, match="npu:0 and npu:1"):
        npu.rotary_embedding(positions.npu(), q, q.to("npu:1"), 8, cache)


def test_backward_is_not_implemented():
    q = torch.ones(2, 8, device="npu", requires_grad=True) * 2
    npu.rotary_embedding(torch.arange(2).npu(), q, None, 8, make_cache(4, 8).npu())
    with pytest.raises(NotImplementedError, match="npu::rotary_embedding"):
        q.sum().backward()

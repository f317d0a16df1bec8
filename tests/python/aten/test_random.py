import pytest
import torch

FLOATS = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="npu")


def test_seeds_repeat_and_calls_differ():
    torch.manual_seed(3)
    first, second = torch.rand(1000, device="npu"), torch.rand(1000, device="npu")
    torch.manual_seed(3)
    again = torch.rand(2000, device="npu")
    assert torch.equal(first, again[:1000]) and torch.equal(second, again[1000:])
    assert not torch.equal(first, second)


def test_widths_share_no_numbers():
    torch.manual_seed(3)
    numbers = [torch.rand(64, dtype=d, device="npu") for d in (torch.float32, torch.float64) * 4]
    rounded = torch.cat([(x * 2**12).floor().float() for x in numbers])
    assert rounded.unique().numel() > 480  # of 512: few collisions among 4,096 values


def test_generators_have_sequences_of_their_own():
    generator = torch.Generator("npu").manual_seed(11)
    first = torch.randn(10, device="npu", generator=generator)
    assert torch.equal(first, torch.randn(10, device="npu", generator=generator.manual_seed(11)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_continuous(dtype):
    n = 100000
    uniform = empty(n, dtype=dtype).uniform_(2, 5).float()
    assert uniform.min() >= 2 and uniform.max() < 5
    assert abs(uniform.mean().item() - 3.5) < 0.02
    normal = empty(n, dtype=dtype).normal_(1, 3).float()
    assert abs(normal.mean().item() - 1) < 0.05 and abs(normal.std().item() - 3) < 0.05
    exponential = empty(n, dtype=dtype).exponential_(2).float()
    assert exponential.min() > 0 and abs(exponential.mean().item() - 0.5) < 0.02
    log_normal = empty(n, dtype=dtype).log_normal_(0, 0.25).float()
    assert abs(log_normal.log().std().item() - 0.25) < 0.01
    cauchy = empty(n, dtype=dtype).cauchy_(3, 0.5).float()
    assert abs(cauchy.median().item() - 3) < 0.05
    geometric = empty(n, dtype=dtype).geometric_(0.5).float()
    assert geometric.min() == 1 and abs(geometric.mean().item() - 2) < 0.05


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
def test_integers(dtype):
    x = empty(50000, dtype=dtype).random_(3, 9)
    assert x.unique().tolist() == [3, 4, 5, 6, 7, 8]
    x = torch.randint(10, (50000,), device="npu", dtype=dtype)
    assert torch.bincount(x.long()).min() > 4500
    largest = 2**24 if dtype == torch.float32 else torch.iinfo(dtype).max
    x = empty(50000, dtype=dtype).random_().double()
    assert x.min() >= 0 and x.max() <= largest
    assert abs(x.mean().item() / largest - 0.5) < 0.01


def test_the_whole_range_of_integers():
    x = empty(50000, dtype=torch.int64).random_(-(2**63), None)
    assert x.min() < -(2**62) and x.max() > 2**62


def test_bernoulli():
    p = torch.tensor([[0.0], [0.3], [1.0]], device="npu").expand(3, 50000).contiguous()
    for x in (torch.bernoulli(p), empty(3, 50000, dtype=torch.bool).bernoulli_(p).float()):
        mean = x.mean(1).cpu()
        torch.testing.assert_close(mean, torch.tensor([0.0, 0.3, 1.0]), atol=0.01, rtol=0)
    assert abs(empty(50000).bernoulli_(0.7).mean().item() - 0.7) < 0.01


def test_normal_by_tensors():
    mean = torch.arange(3.0, device="npu")[:, None].expand(3, 20000)
    std = torch.full((3, 20000), 0.1, device="npu")
    for x in (torch.normal(mean, 0.1), torch.normal(mean, std)):
        torch.testing.assert_close(x.mean(1).cpu(), torch.arange(3.0), atol=0.01, rtol=0)
    assert abs(torch.normal(2.0, std).mean().item() - 2) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial(dtype, replacement):
    weights = torch.tensor([0, 1, 2, 0, 5, 0], dtype=dtype, device="npu")
    x = torch.multinomial(weights.expand(2, 6), 3, replacement)
    assert set(x.flatten().tolist()) <= {1, 2, 4}
    if replacement:
        counts = torch.bincount(torch.multinomial(weights, 80000, True), minlength=6).cpu()
        expected = torch.tensor([0, 10000, 20000, 0, 50000, 0])
        torch.testing.assert_close(counts, expected, atol=800, rtol=0)
    else:
        assert sorted(x[0].tolist()) == [1, 2, 4]


def test_permutations():
    for dtype in (torch.int64, torch.int32, torch.float32):
        x = torch.randperm(1000, device="npu", dtype=dtype)
        assert torch.equal(x.sort().values.long().cpu(), torch.arange(1000))
    assert not torch.equal(torch.randperm(1000, device="npu"), torch.randperm(1000, device="npu"))
    assert torch.randperm(0, device="npu").numel() == 0


def test_dropout():
    x = torch.ones(100000, device="npu", requires_grad=True)
    y = torch.nn.functional.dropout(x, 0.25)
    assert y.unique().tolist() == [0, pytest.approx(4 / 3)]
    assert abs(y.mean().item() - 1) < 0.02
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    output, mask = torch.native_dropout(x.detach(), 0.5, True)
    assert torch.equal(output, mask * 2.0)

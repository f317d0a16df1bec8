import pytest
import torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nll_loss(dtype, reduction, same):
    target = torch.tensor([1, 0, 4, 3, 1, 2])
    weight = torch.rand(5).to(dtype)
    for scores, classes in ((torch.randn(6, 5), target), (torch.randn(6, 5, 2, 3), target)):
        scores = scores.to(dtype).log_softmax(1)
        if scores.dim() == 4:
            classes = classes[:, None, None].expand(6, 2, 3)
        for given in (None, weight):

            def loss(x, y, w):
                x = x.detach().requires_grad_()
                z = torch.nn.functional.nll_loss(x, y, w, ignore_index=3, reduction=reduction)
                z.sum().backward()
                return z.detach(), x.grad

            same(loss, scores, classes, given)
    same(torch.nn.functional.nll_loss, scores[0, :, 0, 0], torch.tensor(2), reduction=reduction)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding(mode, rank, same):
    x = torch.randn(2, 3, 5, 6, 7)[(slice(None), slice(None), *[0] * (3 - rank))]
    for sides in ((1, 2) * rank, (0, 3) * rank, (-1, 2) * rank):

        def pad(x, sides):
            x = x.detach().requires_grad_()
            y = torch.nn.functional.pad(x, sides, mode)
            y.square().sum().backward()
            return y.detach(), x.grad

        same(pad, x, sides)


def test_padding_of_integers(same):
    same(torch.nn.functional.pad, torch.arange(6).view(1, 1, 6), (2, 3), "reflect")


def test_embedding_with_a_longest_row(same):
    index = torch.tensor([3, 1, 3, 0])

    def embed(weight):
        weight = weight.clone()
        return torch.nn.functional.embedding(index.to(weight.device), weight, max_norm=1.0), weight

    same(embed, torch.randn(5, 4))

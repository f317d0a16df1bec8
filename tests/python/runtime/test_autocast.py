import pytest
import torch


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_and_float32_operators(dtype):
    a = torch.ones(4, 4, device="npu")
    with torch.autocast("npu", dtype=dtype):
        product = a @ a
        assert product.dtype == dtype
        assert torch.nn.functional.softmax(product, dim=0).dtype == torch.float32
        assert product.exp().dtype == torch.float32
        assert (product + a).dtype == torch.float32
        assert torch.cat([product, a]).dtype == torch.float32
        with torch.autocast("npu", enabled=False):
            assert (a @ a).dtype == torch.float32
    assert (a @ a).dtype == torch.float32


def test_default_dtype_and_unknown_operators():
    with torch.autocast("npu"):
        a = torch.ones(3, 3, device="npu")
        assert (a @ a).dtype == torch.get_autocast_dtype("npu")
        assert torch.special.airy_ai(a).dtype == torch.float32  # on no list


def test_unsupported_dtype_disables_with_a_warning():
    with pytest.warns(UserWarning, match="NPU|npu"), torch.autocast("npu", dtype=torch.float64):
        assert not torch.is_autocast_enabled("npu")


def test_binary_cross_entropy_is_refused():
    x = torch.full((2,), 0.5, device="npu")
    with torch.autocast("npu"), pytest.raises(RuntimeError, match="with_logits"):
        torch.nn.functional.binary_cross_entropy(x, x)


def test_grad_scaler():
    weight = torch.ones(2, 2, device="npu", requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler = torch.amp.GradScaler("npu", init_scale=16.0)
    with torch.autocast("npu", dtype=torch.float16):
        loss = (weight @ torch.ones(2, 2, device="npu")).sum()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == [[0, 0], [0, 0]]
    assert scaler.get_scale() == 16.0

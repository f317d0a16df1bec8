import pytest
import torch

VIEWS = {
    "as_strided": lambda x: x.as_strided((2, 3), (1, 4), 2),
    "view": lambda x: x.view(6, 4),
    "reshape": lambda x: x.reshape(-1, 2, 3),
    "transpose": lambda x: x.transpose(0, 2),
    "permute": lambda x: x.permute(2, 0, 1),
    "slice": lambda x: x[1:, ::2, -2:],
    "select": lambda x: x[1],
    "expand": lambda x: x[:, :1].expand(2, 5, 4),
    "unfold": lambda x: x.unfold(2, 3, 1),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "unsqueeze": lambda x: x.unsqueeze(1).squeeze(0),
    "split": lambda x: x.split(2, dim=2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "movedim": lambda x: x.movedim(0, -1),
    "view_dtype": lambda x: x.view(torch.int32),
    "view_as_complex": lambda x: torch.view_as_real(torch.view_as_complex(x.view(2, 3, 2, 2))),
    "detach": lambda x: x.detach().alias() if hasattr(x, "alias") else x.detach(),
    "flatten": lambda x: x.flatten().narrow(0, 3, 5),
}


@pytest.mark.parametrize("name", VIEWS)
def test_view(name):
    cpu = torch.arange(24.0).reshape(2, 3, 4)
    base = cpu.npu()
    torch.npu.reset_fallback_stats()
    view = VIEWS[name](base)
    expected = VIEWS[name](cpu)
    assert view.data_ptr() - base.data_ptr() == expected.data_ptr() - cpu.data_ptr()
    assert view.stride() == expected.stride()
    assert view.cpu().equal(expected)
    assert torch.npu.fallback_stats() == {}


def test_writing_through_a_view():
    base = torch.zeros(4, 4, device="npu")
    base[1:3].t()[2].copy_(torch.tensor([5.0, 6.0]))
    assert base.cpu()[1:3, 2].tolist() == [5, 6] and base.cpu().sum() == 11


def test_wrong_views():
    x = torch.arange(6.0, device="npu")
    with pytest.raises(RuntimeError, match=r"\[4\].*size 6"):
        x.view(4)
    with pytest.raises(RuntimeError, match="out of bounds for storage"):
        x.as_strided((7,), (1,))
    with pytest.raises(IndexError, match="index 6"):
        x[6]


def test_no_view_operator_can_fall_back():
    # Sparse, nested and quantised tensors have keys of their own.
    elsewhere = ("_values", "_indices", "_sparse", "_nested")
    missing = []
    for name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = name.partition("::")
        base, _, overload = rest.partition(".")
        if namespace != "aten" or base.startswith(elsewhere):
            continue
        schema = torch._C._get_schema(f"aten::{base}", overload)
        views = any(r.alias_info and not r.alias_info.is_write for r in schema.returns)
        keys = ("PrivateUse1", "CompositeImplicitAutograd", "CompositeExplicitAutograd")
        if views and not any(
            torch._C._dispatch_has_kernel_for_dispatch_key(name, key)
            for key in (*keys, "CompositeExplicitAutogradNonFunctional")
        ):
            missing.append(name)
    assert missing == []

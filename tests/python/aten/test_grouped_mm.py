"""torch.nn.functional.grouped_mm: its four forms and their gradients, beside the CPU."""

import pytest
import torch
from torch.nn.functional import grouped_mm

GROUPS, M, K, N = 4, 24, 32, 40
ENDS = torch.tensor([8, 8, 40, 56], dtype=torch.int32)
LENGTH = 64  # of the grouped dimension; what lies beyond the last end is nobody's
USED = int(ENDS[-1])

FORMS = {
    # sizes of both operands; the part of the result that is defined
    "rows": ((LENGTH, K), (GROUPS, K, N), (slice(USED),)),
    "columns": ((GROUPS, M, K), (K, LENGTH), (slice(None), slice(USED))),
    "depth": ((M, LENGTH), (LENGTH, N), ()),
    "batch": ((GROUPS, M, K), (GROUPS, K, N), ()),
}


def ends_of(form, device):
    return None if form == "batch" else ENDS.to(device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form, transposed, dtype):
    sizes_a, sizes_b, defined = FORMS[form]
    a, b = torch.randn(sizes_a).to(dtype), torch.randn(sizes_b).to(dtype)
    if transposed:
        a, b = (x.mT.contiguous().mT for x in (a, b))
    expected = grouped_mm(a, b, offs=ends_of(form, "cpu"))
    torch.npu.reset_fallback_stats()
    actual = grouped_mm(a.npu(), b.npu(), offs=ends_of(form, "npu"))
    assert torch.npu.fallback_stats() == {}
    assert actual.stride() == expected.stride()
    torch.testing.assert_close(actual.cpu()[defined], expected[defined])


EVERYTHING = (...,)
GRADIENTS = {
    # the part of each operand's gradient that is defined
    "rows": ((slice(USED),), EVERYTHING),
    "columns": (EVERYTHING, (slice(None), slice(USED))),
    "depth": ((slice(None), slice(USED)), (slice(USED),)),
    "batch": (EVERYTHING, EVERYTHING),
}


@pytest.mark.parametrize("form", GRADIENTS)
def test_gradients(form):
    sizes_a, sizes_b, defined = FORMS[form]
    values = torch.randn(sizes_a), torch.randn(sizes_b)
    gradients = []
    for device in ("cpu", "npu"):
        a, b = (x.clone().to(device).requires_grad_() for x in values)
        result = grouped_mm(a, b, offs=ends_of(form, device))[defined]
        weights = torch.linspace(0, 1, result.numel()).reshape(result.shape)
        (result * weights.to(device)).sum().backward()
        gradients.append([a.grad.cpu(), b.grad.cpu()])
    for cpu, npu, part in zip(*gradients, GRADIENTS[form], strict=True):
        torch.testing.assert_close(npu[part], cpu[part])


def test_one_launch_without_a_word_to_the_host():
    a, b = torch.randn(LENGTH, K).npu(), torch.randn(GROUPS, K, N).npu()
    ends = ENDS.npu()
    torch.npu.synchronize()
    torch.npu.reset_counters()
    grouped_mm(a, b, offs=ends)
    counters = torch.npu.counters()
    assert counters["launches"] == 1 and counters["macs"] == USED * K * N


def test_wrong_arguments_raise_as_on_the_cpu():
    a, b = torch.randn(LENGTH, K), torch.randn(GROUPS, K, N)
    for arguments in (
        (a, b, ENDS.long()),
        (a, b, None),
        (a, b, ENDS[:3]),
        (a[:, : K - 4].contiguous(), b, ENDS),
        (a.double(), b.double(), ENDS),
    ):
        messages = []
        for device in ("cpu", "npu"):
            x, y, offs = (None if t is None else t.to(device) for t in arguments)
            with pytest.raises(RuntimeError) as error:
                grouped_mm(x, y, offs=offs)
            messages.append(str(error.value).splitlines()[0])
        assert messages[0] == messages[1]

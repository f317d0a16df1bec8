import pytest
import torch


def test_manual_seed_sets_the_state():
    torch.npu.manual_seed(7)
    assert torch.npu.initial_seed() == 7
    torch.manual_seed(9)
    assert [g.initial_seed() for g in torch.npu.default_generators] == [9, 9]
    torch.npu.manual_seed_all(3)
    assert [g.initial_seed() for g in torch.npu.default_generators] == [3, 3]
    torch.npu.seed()
    assert torch.npu.initial_seed() != 3
    torch.npu.seed_all()
    assert len({g.initial_seed() for g in torch.npu.default_generators}) == 1


def test_state_save_and_restore():
    torch.npu.manual_seed(5)
    state = torch.npu.get_rng_state()
    assert (state.dtype, state.device.type) == (torch.uint8, "cpu")
    torch.npu.manual_seed(6)
    assert not torch.npu.get_rng_state().equal(state)
    torch.npu.set_rng_state(state)
    assert torch.npu.initial_seed() == 5
    states = torch.npu.get_rng_state_all()
    torch.npu.manual_seed_all(1)
    torch.npu.set_rng_state_all(states)
    assert [s.tolist() for s in torch.npu.get_rng_state_all()] == [s.tolist() for s in states]


def test_offset():
    generator = torch.Generator("npu")
    generator.manual_seed(4)
    generator.set_offset(12)
    assert generator.get_offset() == 12
    other = torch.Generator("npu:1")
    other.set_state(generator.get_state())
    assert (other.initial_seed(), other.get_offset()) == (4, 12)
    assert other.device == torch.device("npu:1")


def test_fork_rng_restores():
    torch.npu.manual_seed(5)
    before = torch.npu.get_rng_state()
    with torch.random.fork_rng(devices=range(2), device_type="npu"):
        torch.npu.manual_seed(77)
    assert torch.npu.get_rng_state().equal(before)


def test_numbers_repeat_with_the_seed():
    def draw():
        torch.manual_seed(3)
        return torch.rand(50, device="npu").cpu()

    first = draw()
    assert first.equal(draw())
    assert not first.equal(torch.rand(50, device="npu").cpu())
    assert first.min() >= 0 and first.max() < 1


def test_own_generator():
    def draw(seed):
        generator = torch.Generator("npu").manual_seed(seed)
        return torch.randn(20, device="npu", generator=generator).cpu()

    assert draw(1).equal(draw(1)) and not draw(1).equal(draw(2))


def test_wrong_states():
    with pytest.raises((RuntimeError, TypeError)):
        torch.npu.set_rng_state(torch.zeros(3, dtype=torch.uint8))
    with pytest.raises((RuntimeError, TypeError)):
        torch.npu.set_rng_state(torch.zeros(16))

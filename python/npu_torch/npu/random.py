"""Random numbers: each device has a default generator, a seed and an offset of one sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from npu_torch import _C
from npu_torch.npu._utils import Device, _get_device_index
from npu_torch.npu.device import device_count


class _DefaultGenerators:
    """The devices' default generators by index."""

    def __len__(self) -> int:
        return device_count()

    def __getitem__(self, index: int) -> torch.Generator:
        if not 0 <= index < len(self):
            raise IndexError(f"npu:{index} does not exist")
        return _C.default_generator(index)

    def __iter__(self) -> Iterator[torch.Generator]:
        return (self[i] for i in range(len(self)))


default_generators = _DefaultGenerators()


def _generator(device: Device) -> torch.Generator:
    return _C.default_generator(_get_device_index(device, optional=True))


def manual_seed(seed: int) -> None:
    """Seed the current device's default generator."""
    _generator(None).manual_seed(int(seed))


def manual_seed_all(seed: int) -> None:
    """Seed all devices' default generators."""
    for generator in default_generators:
        generator.manual_seed(int(seed))


def seed() -> None:
    """Seed the current device's default generator with a random number."""
    _generator(None).seed()


def seed_all() -> None:
    """Seed all devices' default generators with one random number."""
    manual_seed_all(torch.Generator().seed())


def initial_seed() -> int:
    """The seed of the current device's default generator."""
    return _generator(None).initial_seed()


def get_rng_state(device: Device = "npu") -> torch.Tensor:
    """State of the device's default generator, a CPU tensor of bytes."""
    return _generator(device).get_state()


def get_rng_state_all() -> list[torch.Tensor]:
    """States of all devices' default generators."""
    return [generator.get_state() for generator in default_generators]


def set_rng_state(new_state: torch.Tensor, device: Device = "npu") -> None:
    """Set the state of the device's default generator."""
    _generator(device).set_state(new_state)


def set_rng_state_all(new_states: Iterable[torch.Tensor]) -> None:
    """Set the states of all devices' default generators."""
    for index, state in enumerate(new_states):
        set_rng_state(state, index)

"""Samples and results between the CPU and the device, sizes, strides and offsets as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply the function to every leaf of nested lists, tuples and dictionaries."""
    if isinstance(value, torch.Size):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(tree_map(function, item) for item in value))
    if isinstance(value, tuple) and type(value) is not tuple:  # torch.return_types
        return type(value)(tree_map(function, item) for item in value)
    if isinstance(value, list | tuple):
        return type(value)(tree_map(function, item) for item in value)
    if isinstance(value, dict):
        return {name: tree_map(function, item) for name, item in value.items()}
    return function(value)


def tensors(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested containers, in order."""
    found: list[torch.Tensor] = []
    tree_map(lambda leaf: found.append(leaf) if isinstance(leaf, torch.Tensor) else None, value)
    return found


def moved(value: Any, device: str) -> Any:
    """A copy of a sample's arguments on another device; devices among the arguments change too."""

    def move(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return moved_tensor(leaf, device)
        if isinstance(leaf, torch.device) and leaf.type == "cpu":
            return torch.device(device)
        if isinstance(leaf, str) and leaf == "cpu":
            return device
        return leaf

    return tree_map(move, value)


def moved_tensor(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """A copy with the same strides and offset in a storage of its own."""
    tensor = tensor.detach()
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized:
        return tensor.clone().to(device)
    if tensor.is_neg() or tensor.is_conj():
        return tensor.resolve_neg().resolve_conj().to(device, copy=True)
    last = sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    extent = 0 if tensor.numel() == 0 else tensor.storage_offset() + last + 1
    flat = tensor.as_strided((extent,), (1,), 0) if extent else tensor.new_empty((0,))
    offset = tensor.storage_offset() if extent else 0
    return flat.to(device, copy=True).as_strided(tensor.shape, tensor.stride(), offset)

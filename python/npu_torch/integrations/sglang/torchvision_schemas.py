"""Makes torchvision importable where its compiled part is not.

The package index's torchvision is linked to CUDA. Without CUDA its compiled operators are missing,
and its Python part then fails to describe them: "operator torchvision::nms does not exist". Their
schemas suffice for that.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import torch


@functools.cache
def declare() -> torch.library.Library | None:
    """Declare the schemas, unless the compiled part is absent or loads. Returns their owner."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return None
    for library in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(library)
            return None
        except OSError:
            break
    owner = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        owner.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return owner

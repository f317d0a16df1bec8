"""RMS norm of either engine's layers on the device's kernels."""

from __future__ import annotations

import torch
from torch import Tensor


def rms_norm(
    x: Tensor, residual: Tensor | None, weight: Tensor | None, eps: float, weight_offset: float
) -> Tensor | tuple[Tensor, Tensor]:
    """x [..., D]; residual, if given, is updated in place to x + residual and returned, too.

    The result is scaled by weight + weight_offset; weight [D] or None.
    """
    if residual is None:
        return torch.ops.npu.rms_norm(x, weight, eps, weight_offset=weight_offset)
    normalized = torch.ops.npu.fused_add_rms_norm(
        x, residual, weight, eps, weight_offset=weight_offset
    )
    return normalized, residual

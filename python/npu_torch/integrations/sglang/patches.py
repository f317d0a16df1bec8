"""The changes to SGLang that no method of the platform allows, each with its reason."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from sglang.srt.plugins.hook_registry import HookRegistry, HookType
from torch import Tensor


def _get_last_loc(req_to_token: Tensor, req_pool_indices: Tensor, prefix_lens: Tensor) -> Tensor:
    from sglang.srt.mem_cache.allocation import get_last_loc_torch

    return get_last_loc_torch(req_to_token, req_pool_indices, prefix_lens)


def _nothing(server_args: Any) -> None:
    pass


def _no_triton(backend: str) -> bool:
    return False


def _soft_cap(logits: Tensor, cap: float) -> Tensor:
    return logits.div_(cap).tanh_().mul_(cap)


_REPLACEMENTS = {
    # Soft caps of logits are a Triton kernel.
    "sglang.kernels.ops.activation.softcap.softcap_inplace_logits": _soft_cap,
    # For a device called "npu" it forces Huawei's attention backend and imports torch_npu.
    "sglang.srt.arg_groups.platform_hook.handle_npu_backends": _nothing,
    # Unless it says no, the step's positions and the request table are filled by Triton kernels.
    # SGLang decides by the attention backend's name, from a list.
    "sglang.srt.utils.common.support_triton": _no_triton,
    # The same choice, made apart from support_triton.
    "sglang.srt.mem_cache.allocation.get_last_loc": _get_last_loc,
}


def register() -> None:
    """Register the replacements with SGLang, which applies them after all plugins have run."""
    from npu_torch.integrations.sglang.scheduler import NpuScheduler

    # Nothing but a subclass sees a request arrive, its step end and its tokens.
    HookRegistry.register("sglang.srt.managers.scheduler.Scheduler", NpuScheduler, HookType.REPLACE)
    for target, replacement in _REPLACEMENTS.items():
        HookRegistry.register(target, replacement, HookType.REPLACE)
    # Before it calls torch.ops.npu.apply_token_bitmask, SGLang imports Huawei's kernels.
    sys.modules.setdefault("sgl_kernel_npu", ModuleType("sgl_kernel_npu"))

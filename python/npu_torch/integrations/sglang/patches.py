"""The changes to SGLang that no method of the platform allows, each with its reason."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from sglang.srt.arg_groups.choices import (
    add_deterministic_attention_backend_choices,
    add_radix_supported_deterministic_attention_backend_choices,
)
from sglang.srt.plugins.hook_registry import HookRegistry, HookType
from torch import Tensor

from npu_torch.integrations.sglang import layers, sampling
from npu_torch.integrations.sglang.platform import ATTENTION_BACKEND
from npu_torch.integrations.sglang.scheduler import NpuScheduler


def _nothing(*args: Any) -> None:
    pass


def _no_triton(backend: str) -> bool:
    return False


def _get_last_loc(req_to_token: Tensor, req_pool_indices: Tensor, prefix_lens: Tensor) -> Tensor:
    from sglang.srt.mem_cache.allocation import get_last_loc_torch

    return get_last_loc_torch(req_to_token, req_pool_indices, prefix_lens)


def _soft_cap(logits: Tensor, cap: float) -> Tensor:
    return logits.div_(cap).tanh_().mul_(cap)


_REPLACEMENTS: dict[str, Any] = {
    # For a device called "npu" it forces Huawei's attention backend and imports torch_npu.
    "sglang.srt.arg_groups.platform_hook.handle_npu_backends": _nothing,
    # Nothing but a subclass sees a request arrive, its steps end and its tokens.
    "sglang.srt.managers.scheduler.Scheduler": NpuScheduler,
    # Unless it says no, the step's positions and the request table are filled by Triton kernels.
    # SGLang decides by the attention backend's name, from a list.
    "sglang.srt.utils.common.support_triton": _no_triton,
    # The same choice, made apart from support_triton.
    "sglang.srt.mem_cache.allocation.get_last_loc": _get_last_loc,
    # Gemma 3 rotates by a compiled function of a dozen operators instead of the fused one.
    "sglang.srt.layers.rotary_embedding.utils.apply_rotary_pos_emb": layers.rotate_heads,
    # Soft caps of logits are a Triton kernel.
    "sglang.kernels.ops.activation.softcap.softcap_inplace_logits": _soft_cap,
    # Devices agree on the drawn tokens through a collective operation; this one is alone.
    "sglang.srt.layers.sampler.Sampler._sync_token_ids_across_tp": _nothing,
    # Seeded draws compile their hash with Triton.
    "sglang.srt.layers.sampler.multinomial_with_seed": sampling.multinomial_with_seed,
    # Repetition penalties are compiled, for seconds, at the first request that has one.
    "sglang.srt.sampling.penaltylib.repetition_penalty.apply_scaling_penalties": (
        sampling.apply_scaling_penalties
    ),
    # --enable-deterministic-inference puts Triton kernels in the place of PyTorch's operators.
    # The device's results depend on shapes alone without them.
    "sglang.srt.batch_invariant_ops.enable_batch_invariant_mode": _nothing,
}


def register() -> None:
    """Register the replacements with SGLang, which applies them after all plugins have run."""
    for target, replacement in _REPLACEMENTS.items():
        HookRegistry.register(target, replacement, HookType.REPLACE)
    # Seeds are honoured by --enable-deterministic-inference, which asks for the backend's name.
    add_deterministic_attention_backend_choices([ATTENTION_BACKEND])
    add_radix_supported_deterministic_attention_backend_choices([ATTENTION_BACKEND])
    # Before it calls torch.ops.npu.apply_token_bitmask, SGLang imports Huawei's kernels.
    sys.modules.setdefault("sgl_kernel_npu", ModuleType("sgl_kernel_npu"))

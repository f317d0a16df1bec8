"""vLLM's out-of-tree platform for the npu.

vLLM finds it through the entry points `vllm.platform_plugins` and `vllm.general_plugins`; nothing
here imports vLLM before vLLM itself asks for it.
"""

from __future__ import annotations

VLLM_SERIES = "0.32."


def register() -> str | None:
    """Entry point `vllm.platform_plugins`: the platform's class path, or None without a device."""
    import torch

    npu = getattr(torch, "npu", None)
    if npu is None or not npu.is_available():
        return None
    return "npu_torch.integrations.vllm.platform.NpuPlatform"


def register_general() -> None:
    """Entry point `vllm.general_plugins`, called in every process of the engine."""
    from vllm.platforms import current_platform

    if current_platform.device_type != "npu":
        return
    from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend

    register_backend(
        AttentionBackendEnum.CUSTOM, "npu_torch.integrations.vllm.attention.NpuAttentionBackend"
    )

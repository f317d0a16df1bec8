"""A minimal out-of-tree platform of vLLM on the CPU, in PyTorch's own operators: a yardstick."""

from __future__ import annotations

import os

import psutil
import torch
import vllm.platforms
from vllm.platforms.interface import Platform, PlatformEnum


class CpuPlatform(Platform):
    _enum = PlatformEnum.OOT
    device_name = device_type = "cpu"
    dispatch_key = "CPU"
    dist_backend = "gloo"
    simple_compile_backend = "eager"

    @classmethod
    def get_device_name(cls, device_id=0):
        return "CPU"

    @classmethod
    def get_device_total_memory(cls, device_id=0):
        return psutil.virtual_memory().total

    @classmethod
    def is_pin_memory_available(cls):
        return False

    @classmethod
    def manual_seed_all(cls, seed):
        torch.manual_seed(seed)

    @classmethod
    def get_attn_backend_cls(cls, selected_backend, attn_selector_config, num_heads=None):
        from vllm.v1.attention.backends.registry import AttentionBackendEnum

        return AttentionBackendEnum.CUSTOM.get_path()

    @classmethod
    def register_triton_kernel_overrides(cls):
        from npu_torch.integrations.vllm.kernels import register_overrides

        register_overrides()

    @classmethod
    def check_and_update_config(cls, vllm_config):
        from vllm.config import CompilationMode, CUDAGraphMode

        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
        vllm_config.parallel_config.worker_cls = "cpu_worker.CpuWorker"
        vllm_config.compilation_config.mode = CompilationMode.NONE
        vllm_config.compilation_config.cudagraph_mode = CUDAGraphMode.NONE
        vllm_config.scheduler_config.async_scheduling = False  # needs streams
        vllm_config.cache_config.block_size = 16


def use() -> None:
    """Make this the platform of the process; call it before anything else of vLLM is imported."""
    vllm.platforms._current_platform = CpuPlatform()

"""What vLLM asks of a platform, answered for the npu."""

from __future__ import annotations

import os
from typing import Any

import torch
from vllm import __version__ as vllm_version
from vllm.logger import init_logger
from vllm.platforms.interface import Platform, PlatformEnum
from vllm.v1.attention.backends.registry import AttentionBackendEnum

from npu_torch.integrations.serving_time import share
from npu_torch.integrations.vllm import VLLM_SERIES

logger = init_logger("vllm.npu_torch")  # below the logger that vLLM configures

# What a server without --shutdown-timeout gives running requests at its end.
SHUTDOWN_SECONDS = 20


class NpuPlatform(Platform):
    """The npu as an out-of-tree platform."""

    _enum = PlatformEnum.OOT
    device_name = "npu"  # vLLM builds torch.device(f"{device_name}:{i}") of it
    device_type = "npu"
    dispatch_key = "PrivateUse1"
    dist_backend = "gloo"
    device_control_env_var = "NPU_VISIBLE_DEVICES"
    simple_compile_backend = "eager"
    supported_quantization: list[str] = []

    @property
    def supported_dtypes(self) -> list[torch.dtype]:
        """Dtypes of models; the first is taken for a model of another dtype."""
        return [torch.bfloat16, torch.float16, torch.float32]

    @classmethod
    def check_if_supports_dtype(cls, dtype: torch.dtype) -> None:
        """Raise ValueError for a dtype that models may not have."""
        if dtype not in (torch.bfloat16, torch.float16, torch.float32):
            raise ValueError(f"the npu serves models in bfloat16, float16 and float32, not {dtype}")

    # The device ---------------------------------------------------------------------------------

    @classmethod
    def get_device_name(cls, device_id: int = 0) -> str:
        """Name of the simulated machine."""
        return str(torch.npu.get_device_name(device_id))

    @classmethod
    def get_device_uuid(cls, device_id: int = 0) -> str:
        """One name for each device of this host."""
        return f"npu-{device_id}"

    @classmethod
    def get_device_total_memory(cls, device_id: int = 0) -> int:
        """Bytes of HBM, NPU_HBM_LIMIT applied."""
        return int(torch.npu.get_device_properties(device_id).total_memory)

    @classmethod
    def set_device(cls, device: torch.device) -> None:
        """Make the device current."""
        torch.npu.set_device(device)

    @classmethod
    def manual_seed_all(cls, seed: int) -> None:
        """Seed the generators of all devices."""
        torch.npu.manual_seed_all(seed)

    @classmethod
    def get_current_memory_usage(cls, device: torch.types.Device = None) -> float:
        """Bytes that tensors held at most since the last call."""
        usage = torch.npu.max_memory_allocated(device)
        torch.npu.reset_peak_memory_stats(device)
        return float(usage)

    @classmethod
    def is_pin_memory_available(cls) -> bool:
        """Whether host memory can be pinned for the device."""
        return True

    # Features -----------------------------------------------------------------------------------

    @classmethod
    def import_kernels(cls) -> None:
        """Provide those operators of vLLM's compiled parts that models call by name."""
        from npu_torch.integrations.vllm.kernels import register_operators

        register_operators()

    @classmethod
    def support_hybrid_kv_cache(cls) -> bool:
        """Sliding-window layers may have KV caches of their own."""
        return True

    @classmethod
    def support_static_graph_mode(cls) -> bool:
        """There is no graph capture."""
        return False

    @classmethod
    def opaque_attention_op(cls) -> bool:
        """Attention is one custom operator, whose outputs a compiler must not look through."""
        return True

    @classmethod
    def get_attn_backend_cls(
        cls, selected_backend: Any, attn_selector_config: Any, num_heads: int | None = None
    ) -> str:
        """Class path of the attention backend. Raises NotImplementedError for what it lacks."""
        if selected_backend not in (None, AttentionBackendEnum.CUSTOM):
            raise ValueError(f"the npu has one attention backend, CUSTOM, not {selected_backend}")
        if attn_selector_config.use_mla:
            raise NotImplementedError("multi-head latent attention on the npu")
        if attn_selector_config.use_sparse:
            raise NotImplementedError("sparse attention on the npu")
        return str(AttentionBackendEnum.CUSTOM.get_path())

    @classmethod
    def register_triton_kernel_overrides(cls) -> None:
        """Replace the Triton kernels on the path: Triton does not compile for the device."""
        from npu_torch.integrations.vllm.kernels import register_overrides

        register_overrides()

    # Configuration ------------------------------------------------------------------------------

    @classmethod
    def check_and_update_config(cls, vllm_config: Any) -> None:
        """Choose the worker and switch off what the device has no use for.

        Raises ValueError for what the platform does not do.
        """
        from vllm.config import CompilationMode, CUDAGraphMode

        if not vllm_version.startswith(VLLM_SERIES):
            raise ValueError(f"npu_torch serves with vLLM {VLLM_SERIES}x, found {vllm_version}")
        # The V2 runner is written in Triton.
        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
        # A device that this process has started does not survive a fork.
        if torch.npu.is_initialized():
            os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"

        parallel = vllm_config.parallel_config
        devices = parallel.world_size * parallel.data_parallel_size
        if devices > 1:
            raise ValueError(
                f"the npu serves a model from one device, not {devices}: tensor_parallel_size, "
                "pipeline_parallel_size and data_parallel_size must be 1"
            )
        if parallel.worker_cls == "auto":
            parallel.worker_cls = "npu_torch.integrations.vllm.worker.NpuWorker"
        if parallel.distributed_executor_backend not in (None, "uni"):
            raise ValueError(
                "the npu works in the engine's own process: distributed_executor_backend must be "
                f'"uni", not {parallel.distributed_executor_backend!r}'
            )
        parallel.disable_custom_all_reduce = True

        if vllm_config.shutdown_timeout == 0:
            # vLLM would kill the engine before it has told its clients, whose connections then keep
            # the server from ending.
            vllm_config.shutdown_timeout = SHUTDOWN_SECONDS
        share(logger.info)
        scheduler = vllm_config.scheduler_config
        if scheduler.scheduler_cls is None:
            name = "NpuAsyncScheduler" if scheduler.async_scheduling else "NpuScheduler"
            scheduler.scheduler_cls = f"npu_torch.integrations.vllm.scheduler.{name}"

        compilation = vllm_config.compilation_config
        compilation.mode = CompilationMode.NONE
        compilation.cudagraph_mode = CUDAGraphMode.NONE
        compilation.cudagraph_capture_sizes = []
        if not {"all", "none"} & set(compilation.custom_ops):
            compilation.custom_ops.append("all")

        cache = vllm_config.cache_config
        if cache is not None and not cache.user_specified_block_size:
            cache.block_size = 16

"""What SGLang asks of a platform, answered for the npu."""

from __future__ import annotations

from typing import Any

import torch
from sglang.srt.environ import envs
from sglang.srt.model_executor.cuda_graph_config import Backend, Phase, with_phase
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import SRTPlatform
from sglang.version import __version__ as sglang_version

from npu_torch.integrations.sglang import SGLANG_SERIES

ATTENTION_BACKEND = "npu"
# Operators have `forward_npu` methods for Huawei's device: those without one of ours run natively.
DISPATCH_KEY = "npu_torch"


class NpuPlatform(SRTPlatform):
    """The npu as an out-of-tree platform."""

    _enum = PlatformEnum.OOT
    device_name = "npu"
    device_type = "npu"
    supported_quantization: list[str] = []

    # The device ---------------------------------------------------------------------------------

    def get_device(self, device_id: int | None = None) -> str:
        """Name of the device for `torch.device`."""
        return "npu" if device_id is None else f"npu:{device_id}"

    def set_device(self, device: torch.device) -> None:
        """Make the device current."""
        torch.npu.set_device(device)

    def get_device_name(self, device_id: int = 0) -> str:
        """Name of the simulated machine."""
        return str(torch.npu.get_device_name(device_id))

    def get_device_uuid(self, device_id: int = 0) -> str:
        """One name for each device of this host."""
        return f"npu-{device_id}"

    def get_device_total_memory(self, device_id: int = 0) -> int:
        """Bytes of HBM, NPU_HBM_LIMIT applied."""
        return int(torch.npu.get_device_properties(device_id).total_memory)

    def get_available_memory(self, device_id: int = 0) -> tuple[int, int]:
        """Free and total bytes of HBM."""
        free, total = torch.npu.mem_get_info(device_id)
        return int(free), int(total)

    def get_current_memory_usage(self, device: torch.device | None = None) -> float:
        """Bytes of HBM in use."""
        free, total = torch.npu.mem_get_info(device)
        return float(total - free)

    def is_pin_memory_available(self, device: Any = None) -> bool:
        """Whether host memory can be pinned for the device."""
        return True

    def synchronize(self) -> None:
        """Wait for the device."""
        torch.npu.synchronize()

    def empty_cache(self) -> None:
        """Return cached memory to the device."""
        torch.npu.empty_cache()

    def get_torch_distributed_backend_str(self) -> str:
        """Backend of torch.distributed; one device needs no other."""
        return "gloo"

    # Parts --------------------------------------------------------------------------------------

    def get_default_attention_backend(self) -> str:
        """Name of the attention backend."""
        return ATTENTION_BACKEND

    def get_mha_kv_pool_cls(self) -> type:
        """Class of the KV cache."""
        from npu_torch.integrations.sglang.memory import NpuTokenToKVPool

        return NpuTokenToKVPool

    def get_mla_kv_pool_cls(self) -> type:
        """Raise NotImplementedError: there is no multi-head latent attention."""
        raise NotImplementedError("multi-head latent attention on the npu")

    def get_dsa_kv_pool_cls(self) -> type:
        """Raise NotImplementedError: there is no sparse attention."""
        raise NotImplementedError("sparse attention on the npu")

    def get_paged_allocator_cls(self) -> Any:
        """What makes the allocator of KV cache slots."""
        from npu_torch.integrations.sglang.memory import make_allocator

        return make_allocator

    def get_dispatch_key_name(self) -> str:
        """Key of the fused operators' forwards in layers.py."""
        return DISPATCH_KEY

    def get_compile_backend(self, mode: str | None = None) -> str:
        """Backend of torch.compile."""
        return "eager"

    def init_backend(self) -> None:
        """Register what SGLang looks up by name. Called in each worker."""
        from npu_torch.integrations.sglang import attention, grammar, layers

        # The scheduler's stream must not overwrite tables that a running step still reads; SGLang
        # takes care of that unasked on CUDA only.
        envs.SGLANG_ENABLE_WAR_BARRIER.set(True)
        attention.register()
        grammar.register()
        layers.register()

    # Configuration ------------------------------------------------------------------------------

    def apply_server_args_defaults(self, server_args: Any) -> None:
        """Fill in what the user left open and switch off what the device does not have.

        Raises ValueError for what the platform does not do.
        """
        if not sglang_version.startswith(SGLANG_SERIES):
            raise ValueError(
                f"npu_torch serves with SGLang {SGLANG_SERIES}, found {sglang_version}"
            )
        args = server_args
        devices = args.tp_size * args.pp_size * args.dp_size
        if devices > 1:
            raise ValueError(
                f"the npu serves a model from one device, not {devices}: tp_size, pp_size and "
                "dp_size must be 1"
            )
        choices: dict[str, tuple[Any, ...]] = {
            "attention_backend": (None, ATTENTION_BACKEND),
            "kv_cache_dtype": ("auto", "bf16", "bfloat16"),
            "quantization": (None, "unquant"),
            "lora_paths": (None, []),
            "enable_torch_compile": (False,),
        }
        for name, known in choices.items():
            if (value := getattr(args, name)) not in known:
                raise ValueError(f"on the npu, {name} may be one of {known}, not {value!r}")
        args.attention_backend = ATTENTION_BACKEND
        args.sampling_backend = "pytorch"
        if args.page_size is None:
            args.page_size = 16
        if args.mem_fraction_static is None:
            # SGLang's own figure sets gigabytes aside for graphs and workspaces.
            args.mem_fraction_static = 0.85
        graphs = args.cuda_graph_config
        for phase in (Phase.DECODE, Phase.PREFILL):
            graphs = with_phase(graphs, phase, backend=Backend.DISABLED)
        args.cuda_graph_config = graphs

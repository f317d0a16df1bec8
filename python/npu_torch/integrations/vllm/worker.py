"""vLLM's worker: one process, one npu."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import torch
from vllm.platforms import current_platform
from vllm.utils.mem_utils import MemorySnapshot
from vllm.utils.torch_utils import set_random_seed
from vllm.v1.worker.gpu_worker import Worker, init_worker_distributed_environment
from vllm.v1.worker.utils import request_memory
from vllm.v1.worker.worker_base import CompilationTimes

from npu_torch.integrations.serving_time import mark
from npu_torch.integrations.vllm import layers
from npu_torch.integrations.vllm.model_runner import NpuModelRunner
from npu_torch.integrations.vllm.scheduler import STEP_MARK


class NpuWorker(Worker):
    """The stock worker, memory profiling included, on a device called "npu"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        layers.register()
        self._step: Any = None

    def init_device(self) -> None:
        """Take the device and make the model runner."""
        self.device = torch.device(f"npu:{self.local_rank}")
        torch.npu.set_device(self.device)
        current_platform.check_if_supports_dtype(self.model_config.dtype)
        init_worker_distributed_environment(
            self.vllm_config,
            self.rank,
            self.distributed_init_method,
            self.local_rank,
            current_platform.dist_backend,
        )
        set_random_seed(self.model_config.seed)
        gc.collect()
        torch.npu.empty_cache()
        self.init_snapshot = MemorySnapshot(device=self.device)
        self.requested_memory = request_memory(self.init_snapshot, self.cache_config)
        self._init_workspace_and_model_runner()

    def _make_model_runner(self) -> NpuModelRunner:
        return NpuModelRunner(self.vllm_config, self.device)

    def _maybe_get_memory_pool_context(self, tag: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # no sleep mode, hence no pools

    def compile_or_warm_up_model(self) -> CompilationTimes:
        """Seed anew after profiling. The SDK builds programs in milliseconds, when first asked.

        The stock method tunes kernels that the device does not have.
        """
        set_random_seed(self.model_config.seed)
        return CompilationTimes(language_model=0.0, encoder=0.0)

    def execute_model(self, scheduler_output: Any) -> Any:
        """Run one step."""
        output = super().execute_model(scheduler_output)
        self._step = scheduler_output  # its tokens are sampled before the next step is run
        return output

    def sample_tokens(self, grammar_output: Any) -> Any:
        """Sample the step's tokens, and mark where the device has them."""
        output = super().sample_tokens(grammar_output)
        setattr(self._step, STEP_MARK, mark())
        return output

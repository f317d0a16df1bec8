"""vLLM's V1 model runner on the npu."""

from __future__ import annotations

from typing import Any

import torch
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

from npu_torch.integrations.vllm import patches


class NpuModelRunner(GPUModelRunner):
    """The stock runner; what it does through raw pointers is done with tensors."""

    def __init__(self, vllm_config: Any, device: torch.device) -> None:
        patches.streams()
        patches.slot_mappings()
        super().__init__(vllm_config, device)
        self.use_cuda_graph = False

    def _init_kv_zero_meta(self) -> None:
        # _zero_block_ids needs no preparation.
        pass

    def _zero_block_ids(self, block_ids: list[int]) -> None:
        """Zero blocks that are handed to another request: their stale values may be NaN."""
        ids = torch.tensor(block_ids, dtype=torch.int64, device=self.device)
        contexts = self.compilation_config.static_forward_context
        for group in self.kv_cache_config.kv_cache_groups:
            for name in group.layer_names:
                cache = getattr(contexts.get(name), "kv_cache", None)
                if isinstance(cache, torch.Tensor):
                    cache.index_fill_(0, ids, 0)
